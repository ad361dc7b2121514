"""Pairs of frames from the training reader: which windows of `storage` are the two moments of a pair.

A window holds one frame and one state. The two moments of a pair are two windows, each found by its episode and step,
so any time stamps are kept exactly, and memory does not grow with the data: of each step its flags and its later step
are held, 10 bytes, and no frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapa.fitting.clips import ClipConfig, LapaClip, read_clips
from storage.episode import Episode
from storage.errors import InputError
from storage.frames import frame_codec
from storage.training_reader.config import WindowConfig
from storage.training_reader.training_data import TrainingData
from storage.training_reader.windows import Windows

Rows = NDArray[np.int64]
_PICTURE, _MASK = "picture", "mask"


@dataclass(frozen=True, kw_only=True)
class PairReader:
    """Pairs of one data set: `clips` through one camera each, and the `windows` that their frames are read from.
    `first_window` (C + 1,) and the steps that may be windows say which window a step of a clip is."""

    clips: tuple[LapaClip, ...]
    windows: Windows
    first_window: NDArray[np.int64]

    def read(self, rows: Rows) -> Mapping[str, Any]:
        """The pairs `rows` (N, 2) of clip and step: "now" and "later" (N, h, w, 3) uint8, and "mask" (N, h, w) where
        masks are known: above 0 where a hand is at either moment."""
        numbers = [self._window(int(clip), int(step)) for clip, step in rows]
        numbers += [self._window(int(clip), int(self.clips[clip].later[step])) for clip, step in rows]
        batch, count = self.windows.__getitems__(numbers), len(rows)
        pictures = batch["images"][_PICTURE][:, 0]
        pair = {"now": pictures[:count], "later": pictures[count:]}
        if _MASK in batch["images"]:
            masks = (batch["images"][_MASK][:, 0] > 0) & batch["image_mask"][_MASK][:, 0, None, None]
            pair["mask"] = (masks[:count] | masks[count:]).astype(np.uint8)
        return pair

    def _window(self, clip: int, step: int) -> int:
        """The number of the window at `step` of a clip; steps that the source marks invalid are no windows."""
        valid = self.clips[clip].episode.arrays.get("valid")
        nth = step if valid is None else int(np.count_nonzero(valid[:step]))
        return int(self.first_window[clip]) + nth


def pair_reader(data: TrainingData, ids: frozenset[str], size_px: tuple[int, int], config: ClipConfig) -> PairReader:
    """The pairs of the episodes `ids` of a data set; raises InputError where they make none."""
    clips = tuple(read_clips(episodes_of(data, ids), size_px, clip_config(data, config)))
    clips = tuple(clip for clip in clips if len(clip.pairs))
    if not clips:
        raise InputError(
            f"{len(ids)} episodes of {data.dataset.root} hold no pair to learn from: every step is flagged"
        )
    names = frozenset(clip.episode.episode_id for clip in clips)
    cameras = {_PICTURE: tuple(dict.fromkeys(clip.camera for clip in clips))}
    if any(config.mask_camera in clip.episode.cameras for clip in clips):
        cameras[_MASK] = (config.mask_camera,)
    source = TrainingData(dataset=data.dataset, action="", embodiments=data.embodiments).source(names)
    windows = Windows([source], WindowConfig(cameras=_preferred(data, cameras), size_px=size_px, horizon_steps=1))
    row_of_episode = data.dataset.index.row_of_episode
    first = dict(zip(windows.table.row.tolist(), windows.table.begins.tolist(), strict=True))
    begins = np.array([first[row_of_episode[clip.episode.episode_id]] for clip in clips], np.int64)
    return PairReader(clips=clips, windows=windows, first_window=begins)


def _preferred(data: TrainingData, cameras: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`cameras` in the order in which a clip chooses among them: as the data says, or by name."""
    chosen = data.cameras or tuple(sorted(cameras[_PICTURE]))
    return {**cameras, _PICTURE: tuple(name for name in chosen if name in cameras[_PICTURE])}


def clip_config(data: TrainingData, config: ClipConfig) -> ClipConfig:
    """`config` with the cameras that the data asks for."""
    if not data.cameras:
        return config
    return replace(config, cameras=data.cameras)


def episodes_of(data: TrainingData, ids: frozenset[str]) -> list[Episode]:
    """The episodes `ids` with video, in the order of their ids; frames stay on the disk."""
    episodes = (data.dataset.episode(name) for name in sorted(ids))
    chosen = [each for each in episodes if not data.embodiments or each.embodiment in data.embodiments]
    return [each for each in chosen if any(frame_codec(f.codec).channels == 3 for f in each.cameras.values())]
