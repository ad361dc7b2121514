"""`where`: keep the episodes that a condition holds for; the others are dropped with the condition as the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.stages.expression import parse_condition, value_of
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

NAMES = (
    *("episode_id", "parent_id", "layer", "embodiment", "instruction", "length", "rate_hz"),
    *("seconds", "cameras", "fields", "scores", "provenance"),
)
"""What a condition may speak of: `seconds` is length / rate_hz, `cameras` and `fields` are lists of names, `scores`
maps a judge to its score in the episode's own verdicts, `provenance` is the record."""


@dataclass(frozen=True, kw_only=True)
class WhereConfig:
    """The condition, over `NAMES`."""

    condition: str

    def __post_init__(self) -> None:
        parse_condition(self.condition, NAMES)


class Where:
    """Passes on the episodes that the condition holds for."""

    def __init__(self, config: WhereConfig) -> None:
        self._text = config.condition
        self._condition = parse_condition(config.condition, NAMES)

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._judge(episode)] for episode in episodes]

    def _judge(self, episode: Episode) -> Outcome:
        try:
            holds = bool(value_of(self._condition, known_of(episode)))
        except (TypeError, LookupError, ZeroDivisionError) as error:
            raise InputError(
                f"the condition {self._text!r} cannot be asked of {episode.episode_id}: {error}"
            ) from error
        if holds:
            return Kept(episode)
        return Dropped(episode_id=episode.episode_id, reason=f"not where {self._text}")


def known_of(episode: Episode) -> Mapping[str, Any]:
    """The values of `NAMES` for one episode."""
    plain = {name: getattr(episode, name) for name in NAMES if name in Episode.__dataclass_fields__}
    scores = {str(verdict.get("judge")): verdict.get("score") for verdict in episode.verdicts}
    known = {
        **plain,
        "seconds": episode.length / episode.rate_hz,
        "cameras": sorted(episode.cameras),
        "fields": sorted(episode.fields),
        "scores": scores,
    }
    if missing := set(NAMES) - known.keys():
        raise ConfigError(f"no value for {sorted(missing)}")
    return known
