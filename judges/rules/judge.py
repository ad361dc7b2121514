"""The stage `judge_rules`: every rule about every clip, without a model. It adds verdicts and drops nothing but what
cannot be decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from judges.rules.catalog import NAMES, RULES
from judges.rules.clip import measure
from judges.rules.fingerprint import duplicate
from storage.episode import Episode
from storage.errors import CorruptFileError, InputError, UnknownNameError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.verdicts.duplicates import DUPLICATE
from storage.verdicts.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class RulesConfig:
    """`rules` to go by, () for all; `thresholds` in place of their own; `cameras` in order of preference, () for the
    first colour camera by name."""

    rules: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    cameras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.rules, *self.thresholds):
            if name not in NAMES:
                raise UnknownNameError.among("rule", name, NAMES)


class JudgeByRules:
    """The stage. Verdicts follow from an episode's own frames alone."""

    def __init__(self, config: RulesConfig) -> None:
        self.config = config
        self._names = config.rules or NAMES

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._outcome(episode)] for episode in episodes]

    def _outcome(self, episode: Episode) -> Outcome:
        try:
            verdicts = self.verdicts(episode)
        except (CorruptFileError, InputError) as error:
            detail = {"error": type(error).__name__, "message": str(error)}
            return Dropped(episode_id=episode.episode_id, reason="cannot be judged", detail=detail)
        return Kept(episode.adding(verdicts=tuple(verdict.to_json() for verdict in verdicts)))

    def verdicts(self, episode: Episode) -> tuple[Verdict, ...]:
        """What the rules say about an episode; raises InputError where it cannot be seen."""
        clip = measure(episode, self.config.cameras)
        thresholds = self.config.thresholds
        by_rule = [RULES[name].verdict(clip, thresholds.get(name)) for name in self._names if name in RULES]
        if DUPLICATE in self._names:
            by_rule.append(duplicate(clip, thresholds.get(DUPLICATE)))
        return tuple(by_rule)
