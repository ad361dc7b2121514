"""The stage `recaption`: what fails its instruction gets one that says what it shows, and is judged again.

As in GR00T N1 (arXiv 2503.14734, section 2.2) a refused clip is not only thrown away: 16 frames at 256 px go to a model
that says what is completed in them. The new text is then checked with another prompt, and by another model where one is
given; it counts where it holds. The old text stays in `original_instruction`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from judges.vision_language.asking import Interviewer
from judges.vision_language.client import Client
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import UNJUDGED, verdict_of
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.verdicts.verdicts import Verdict, effective

NOTHING = "nothing is completed"


@dataclass(frozen=True, kw_only=True)
class RecaptionConfig:
    """`model` says what a clip shows, `second` (by default the same model) whether that is right. `judge` is the judge
    whose refusals are captioned anew, and in whose place the second verdict counts."""

    model: ModelConfig = field(default_factory=ModelConfig)
    second: ModelConfig | None = None
    judge: str = "instruction"
    frames: int = 16
    longest_px: int = 256
    replies: str = field(default="@dataset/cache/replies", metadata={"identity": False})

    def __post_init__(self) -> None:
        if min(self.frames, self.longest_px) < 1 or not self.judge:
            raise ConfigError(f"recaption has frames and longest_px above 0, and a judge; got {self}")

    def inputs(self) -> Mapping[str, str]:
        """What captions depend on besides this config."""
        second = self.second.inputs() if self.second else {}
        return {**self.model.inputs(), **{f"second/{name}": value for name, value in second.items()}}


class Recaption:
    """The stage."""

    def __init__(self, config: RecaptionConfig, client: Client | None = None) -> None:
        self.config = config
        self._writer = Interviewer(replace(config.model, replies=config.replies), client)
        second = replace(config.second or config.model, replies=config.replies)
        self._checker = Interviewer(second, None if config.second else self._writer.client)

    def close(self) -> None:
        """Let go of the models."""
        for each in (self._writer, self._checker):
            each.client.close()

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        outcomes: dict[str, Outcome] = {}
        refused: list[Episode] = []
        for episode in episodes:
            reason = self._left_alone(episode)
            if reason:
                outcomes[episode.episode_id] = Dropped(episode_id=episode.episode_id, reason=reason)
            else:
                refused.append(episode)
        outcomes.update(self._captioned(refused))
        return [[outcomes[episode.episode_id]] for episode in episodes]

    def _left_alone(self, episode: Episode) -> str:
        verdicts = effective(tuple(each for record in episode.verdicts if (each := Verdict.from_json(record))))
        own = verdicts.get(self.config.judge)
        if own is None:
            return "not judged"
        if own.passed:
            return "follows its instruction"
        others = [name for name, verdict in verdicts.items() if verdict.passed is False and name != self.config.judge]
        return "refused by others" if others else ""

    def _captioned(self, episodes: Sequence[Episode]) -> dict[str, Outcome]:
        """The outcome of every refused episode."""
        outcomes: dict[str, Outcome] = {}
        questions = []
        for episode in episodes:
            try:
                questions.append(self._writer.asked(episode, "caption", frames=self.config.frames))
            except InputError as error:
                outcomes[episode.episode_id] = _dropped(episode, "cannot be judged", {"message": str(error)})
        told = self._writer.tell(questions, longest_px=self.config.longest_px)
        captions: dict[str, str] = {}
        for asked, one in zip(questions, told, strict=True):
            episode = asked.episode
            caption = one.reply.caption if one.reply else ""
            if not caption:
                outcomes[episode.episode_id] = _dropped(episode, UNJUDGED, {"said": one.said.text[:400]})
            elif caption.lower().rstrip(".") == NOTHING:
                outcomes[episode.episode_id] = _dropped(episode, NOTHING, {})
            elif _same(caption, episode.instruction):
                outcomes[episode.episode_id] = _dropped(episode, "same caption", {"caption": caption})
            else:
                captions[episode.episode_id] = caption
        chosen = [asked.episode for asked in questions if asked.episode.episode_id in captions]
        return outcomes | self._checked(chosen, captions)

    def _checked(self, episodes: Sequence[Episode], captions: Mapping[str, str]) -> dict[str, Outcome]:
        """Judge each episode under its new caption."""
        questions = [self._checker.asked(each, "again", instruction=captions[each.episode_id]) for each in episodes]
        outcomes: dict[str, Outcome] = {}
        for asked, told in zip(questions, self._checker.tell(questions), strict=True):
            episode, caption = asked.episode, captions[asked.episode.episode_id]
            if told.reply is None:
                outcomes[episode.episode_id] = _dropped(episode, UNJUDGED, {"said": told.said.text[:400]})
                continue
            verdict = verdict_of(
                asked,
                told,
                "recaption",
                self._checker.config,
                self._checker.client.model,
                replaces=self.config.judge,
            )
            if not verdict.passed:
                detail = {"caption": caption, "verdict": verdict.to_json()}
                outcomes[episode.episode_id] = _dropped(episode, "new caption refused", detail)
                continue
            added = episode.adding(
                verdicts=(verdict.to_json(),),
                provenance={"recaption": {"caption": caption, "model": self._writer.client.model}},
            )
            original = episode.original_instruction or episode.instruction
            outcomes[episode.episode_id] = Kept(replace(added, instruction=caption, original_instruction=original))
        return outcomes


def _same(one: str, other: str) -> bool:
    return " ".join(one.lower().split()).rstrip(".") == " ".join(other.lower().split()).rstrip(".")


def _dropped(episode: Episode, reason: str, detail: Mapping[str, Any]) -> Dropped:
    return Dropped(episode_id=episode.episode_id, reason=reason, detail=detail)
