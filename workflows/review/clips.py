"""What a person is shown of an episode: its text, its verdicts, how uncertain it is, and its clip as an mp4."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from judges.rules.clip import camera_of
from storage.datasets.dataset import Dataset
from storage.errors import UnknownNameError
from storage.verdicts.reviews import Decision, decisions_of
from storage.verdicts.selection import Selection, read_selection
from storage.verdicts.verdicts import Verdict, effective, verdicts_of
from workflows.report.clips import clip_bytes


@dataclass(frozen=True, kw_only=True)
class ReviewedClip:
    """One episode under review. `uncertainty` is 0 where a judge is certain and 1 where it might toss a coin."""

    episode_id: str
    instruction: str
    original_instruction: str
    state: str
    reasons: tuple[str, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    uncertainty: float
    decision: Mapping[str, Any] | None = None


class Gallery:
    """The clips of a data set under one selection, most uncertain first."""

    def __init__(self, root: Path, selection: str) -> None:
        self.root = root
        self.selection: Selection = read_selection(root, selection)
        self.dataset = Dataset.open(root, labels=self.selection.policy.labels)
        self._verdicts = {name: effective(verdicts) for name, verdicts in verdicts_of(root).items()}
        self._clip = lru_cache(maxsize=32)(self._encoded)

    def clips(self) -> list[ReviewedClip]:
        """Every episode with what was decided so far."""
        decisions = decisions_of(self.root)
        texts = self.dataset.instructions()
        table = self.dataset.index.table
        own, ids = table["instruction"].to_pylist(), table["episode_id"].to_pylist()
        kept = set(self.selection.episodes)
        shown = [
            self._one(str(name), str(texts[row]), str(own[row]), name in kept, decisions.get(str(name)))
            for row, name in enumerate(ids)
        ]
        return sorted(shown, key=lambda clip: (clip.decision is not None, -clip.uncertainty, clip.episode_id))

    def _one(self, name: str, text: str, own: str, kept: bool, decision: Decision | None) -> ReviewedClip:
        verdicts = self._verdicts.get(name, {})
        state = "kept" if kept else "rejected" if name in self.selection.rejected else "unjudged"
        said = (
            None
            if decision is None
            else {"accept": decision.accept, "caption": decision.caption, "note": decision.note}
        )
        return ReviewedClip(
            episode_id=name,
            instruction=text,
            original_instruction=own if own != text else "",
            state=state,
            reasons=self.selection.rejected.get(name, ()),
            verdicts=tuple(_shown(verdict) for verdict in verdicts.values()),
            uncertainty=max((_uncertainty(verdict) for verdict in verdicts.values()), default=1.0),
            decision=said,
        )

    def known(self, episode_id: str) -> None:
        """Raise UnknownNameError unless the data set has the episode."""
        if episode_id not in self.dataset.index.row_of_episode:
            raise UnknownNameError.among(f"episode of {self.root}", episode_id, self.dataset.index.row_of_episode)

    def judges(self, episode_id: str) -> dict[str, Any]:
        """What the judges say now, to be kept with a decision."""
        return {
            name: {"pass": each.passed, "score": each.score}
            for name, each in self._verdicts.get(episode_id, {}).items()
        }

    def mp4(self, episode_id: str) -> bytes:
        """The clip as an H.264 mp4."""
        self.known(episode_id)
        return self._clip(episode_id)

    def _encoded(self, episode_id: str) -> bytes:
        episode = self.dataset.episode(episode_id)
        return clip_bytes(episode.cameras[camera_of(episode)], rate_hz=episode.rate_hz)


def _uncertainty(verdict: Verdict) -> float:
    """How near a score lies to its threshold, relative to it; unsure verdicts are nothing but uncertainty."""
    if verdict.passed is None:
        return 1.0
    if verdict.score is None or verdict.threshold is None:
        return 0.0
    return max(0.0, 1.0 - abs(verdict.score - verdict.threshold) / max(abs(verdict.threshold), 1e-6))


def _shown(verdict: Verdict) -> dict[str, Any]:
    record = verdict.to_json()
    record["evidence"] = {name: value for name, value in record.get("evidence", {}).items() if name != "fingerprint"}
    return record
