"""From labelled episodes to the rows of a sidecar: only what was added, in the order of the shard that it labels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pipelines.unit.unit_state import BaseEpisode, UnitState
from storage.episode import Episode
from storage.frames import Frames, frame_codec


def sidecar_episodes(state: UnitState) -> Iterator[Episode]:
    """The episodes of the sidecar of a unit of labels. Nothing when every episode was dropped.

    An episode that was dropped keeps its rows, for the rows must match; they hold zeros, and the manifest names it.
    """
    labelled: Mapping[str, Episode] = {episode.episode_id: episode for episode in state.inputs}
    added = {base.episode.episode_id: _added(base, labelled) for base in state.base}
    pattern = next((labels for labels in added.values() if labels is not None), None)
    if pattern is None:
        return
    for base in state.base:
        labels = added[base.episode.episode_id]
        yield labels if labels is not None else _blank(base.episode, pattern)


def _added(base: BaseEpisode, labelled: Mapping[str, Episode]) -> Episode | None:
    after = labelled.get(base.episode.episode_id)
    if after is None:
        return None
    before = base.episode
    return replace(
        after,
        arrays={name: array for name, array in after.arrays.items() if name not in base.fields},
        cameras={name: frames for name, frames in after.cameras.items() if f"video/{name}" not in base.fields},
        verdicts=after.verdicts[len(before.verdicts) :],
        provenance={name: value for name, value in after.provenance.items() if name not in before.provenance},
    )


def _blank(episode: Episode, pattern: Episode) -> Episode:
    """`episode` with the arrays and cameras of `pattern`, all zero."""
    length = episode.length
    return replace(
        episode,
        verdicts=(),
        provenance={},
        arrays={name: np.zeros((length, *rows.shape[1:]), rows.dtype) for name, rows in pattern.arrays.items()},
        cameras={name: _black(frames, length) for name, frames in pattern.cameras.items()},
    )


def _black(pattern: Frames, length: int) -> Frames:
    codec = frame_codec(pattern.codec)
    image = np.zeros(codec.shape(pattern.height_px, pattern.width_px), dtype=codec.dtype)
    return replace(pattern, payloads=[codec.encode(image)] * length)
