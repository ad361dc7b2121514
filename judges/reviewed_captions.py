"""The stage `reviewed_captions`: instructions as people edited them on the review page.

The old text stays in `original_instruction`. What people have written is part of what the labels depend on, so that
later edits are other labels (see `workflows.datasets.selecting`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.verdicts.reviews import decisions_of


@dataclass(frozen=True, kw_only=True)
class ReviewedCaptionsConfig:
    """`captions` is the hash of what people wrote in the data set at `dataset`."""

    captions: str
    dataset: str = field(default="@dataset", metadata={"identity": False})

    def __post_init__(self) -> None:
        if not self.captions:
            raise ConfigError("reviewed_captions needs the hash of the captions that people wrote")


class ReviewedCaptions:
    """The stage."""

    def __init__(self, config: ReviewedCaptionsConfig) -> None:
        self._captions = captions_of(Path(config.dataset))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self._outcome(episode)] for episode in episodes]

    def _outcome(self, episode: Episode) -> Outcome:
        caption = self._captions.get(episode.episode_id, "")
        if not caption or caption == episode.instruction:
            return Dropped(episode_id=episode.episode_id, reason="not edited")
        original = episode.original_instruction or episode.instruction
        return Kept(replace(episode, instruction=caption, original_instruction=original))


def captions_of(root: Path) -> Mapping[str, str]:
    """Episode id -> the caption that a person wrote."""
    return {name: each.caption for name, each in decisions_of(root).items() if each.caption}
