"""The parts of an episode in which every step has a label: what trainers outside of this project may see of it.

They know no masks: a step without a label would be learned as an action of zeros, or as NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.episode import Episode
from storage.frames import Frames

LEAST_STEPS = 2


@dataclass
class LeftOut:
    """Steps and whole episodes that no run holds, by kind of label."""

    steps: dict[str, int] = field(default_factory=dict)
    episodes: int = 0

    def lines(self) -> Mapping[str, int]:
        """For a report: what was left out -> how many."""
        counts = {f"steps without a label ({kind})": count for kind, count in self.steps.items() if count}
        return {**counts, **({"episodes without any labelled run": self.episodes} if self.episodes else {})}


def labelled_runs(episode: Episode, left_out: LeftOut) -> Iterator[Episode]:
    """`episode` itself where each of its labelled actions has a label at every step; otherwise each run of at least two
    steps in which all have one, as an episode of its own whose parent it is. What is left out is counted."""
    labelled = np.ones(episode.length, bool)
    for name in episode.arrays:
        kind = name.removeprefix("action/")
        valid = episode.arrays.get(f"label/valid/{kind}") if name.startswith("action/") else None
        if valid is not None:
            left_out.steps[kind] = left_out.steps.get(kind, 0) + int((~valid).sum())
            labelled &= valid
    if labelled.all():
        yield episode
        return
    runs = [(first, end) for first, end in runs_of(labelled) if end - first >= LEAST_STEPS]
    left_out.episodes += not runs
    for first, end in runs:
        yield _part(episode, first, end)


def runs_of(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, end) of each stretch of `chosen` steps (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _part(episode: Episode, first: int, end: int) -> Episode:
    arrays = {name: rows[first:end] for name, rows in episode.arrays.items()}
    if "timestamp" in arrays:
        arrays["timestamp"] = arrays["timestamp"] - arrays["timestamp"][0]
    cameras = {
        name: Frames(
            payloads=[frames.payloads[step] for step in range(first, end)],
            height_px=frames.height_px,
            width_px=frames.width_px,
            codec=frames.codec,
        )
        for name, frames in episode.cameras.items()
    }
    return replace(
        episode,
        episode_id=f"{episode.episode_id}-steps-{first}-{end}",
        parent_id=episode.episode_id,
        length=end - first,
        arrays=arrays,
        cameras=cameras,
        provenance=_shifted(episode.provenance, first, end) | {"cut": {"from_step": first, "end_step": end}},
    )


def _shifted(provenance: Mapping[str, Any], first: int, end: int) -> dict[str, Any]:
    """Texts that an episode was imported with, [[first step, text], ...], as of the part [first, end)."""
    imported = dict(provenance.get("imported", {}))
    if not imported.get("annotations"):
        return dict(provenance)
    imported["annotations"] = {name: _clipped(runs, first, end) for name, runs in imported["annotations"].items()}
    return {**provenance, "imported": imported}


def _clipped(runs: Sequence[Sequence[Any]], first: int, end: int) -> list[list[Any]]:
    before = [run for run in runs if run[0] <= first]
    inside = [[run[0] - first, run[1]] for run in runs if first < run[0] < end]
    return [[0, before[-1][1]], *inside] if before else inside
