"""Running a model over a clip: each frame decoded and encoded once, each window predicted once, in the order of the
clip.

Frames are decoded by several threads, and what they give is taken in the order of the frames, never in the order in
which they finish. Features are kept only as long as a window still needs them, so memory does not grow with the clip.
N windows, V views, M members, K steps, D numbers, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groot.device import on_device
from idm.labelling.camera_views import ViewFinder
from idm.labelling.clip_windows import ClipWindows
from idm.network.encoder import Features, folded
from idm.network.model import Idm
from storage.episode import Episode
from storage.pictures.frame_checks import ClipCheck, FrameScan
from storage.pictures.read_ahead import Reading, blocks

Array = NDArray[Any]


class WindowPredictions(NamedTuple):
    """What a network predicts for N windows, normalised: `motion` (M, N, K, D), `scale` (N, K, D), `switch` (N, K, D)
    probabilities, `moved` (N, P) the change of the state, `anchor` (N, D), `pose` (N, P) the state at the present
    frame, `pooled` (N, C), `hidden` (N,) logits that the view is covered."""

    motion: Array
    scale: Array
    switch: Array
    moved: Array
    anchor: Array
    pose: Array
    pooled: Array
    hidden: Array


class Network(Protocol):
    """What the labeller needs of a model; tests put a perfect one in its place."""

    def encode(self, images: NDArray[np.uint8]) -> Features:
        """Features of frames (N, V, H, W, 3); every feature map leads with N x V."""

    def predict(self, now: Features, later: Features, *, slot: int, views: int) -> WindowPredictions:
        """What it predicts for windows whose frames have these features."""


class TorchNetwork:
    """An `Idm` on a device, without gradients, folded for speed. `at_once` frames go through it together, on a CPU few,
    so that they stay in its caches; of windows, whose maps are small, four times as many."""

    def __init__(self, model: Idm, *, device: str | torch.device = "cpu", bf16: bool = False, at_once: int = 0) -> None:
        self.device, self.bf16 = torch.device(device), bf16
        # Weights in bf16 from the start: autocast alone would cast them anew at every call.
        self.model: Any = folded(model).to(self.device, torch.bfloat16 if bf16 else torch.float32)
        self.at_once = at_once or (16 if self.device.type == "cpu" else 256)

    def encode(self, images: NDArray[np.uint8]) -> Features:
        flat = torch.from_numpy(images).flatten(0, 1)
        with torch.inference_mode(), self._precision():
            parts = [self.model.encode(on_device(part, self.device)) for part in torch.split(flat, self.at_once)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(maps) for maps in zip(*parts, strict=True))

    def predict(self, now: Features, later: Features, *, slot: int, views: int) -> WindowPredictions:
        size = 4 * self.at_once * views
        pairs = zip(
            zip(*(torch.split(part, size) for part in now), strict=True),
            zip(*(torch.split(part, size) for part in later), strict=True),
            strict=True,
        )
        parts = [self._predict(*pair, slot=slot, views=views) for pair in pairs]
        return parts[0] if len(parts) == 1 else joined_predictions(parts)

    def _predict(self, now: Features, later: Features, *, slot: int, views: int) -> WindowPredictions:
        with torch.inference_mode(), self._precision():
            count = len(now[0]) // views
            slots = torch.full((count,), slot, device=self.device)
            tokens = self.model.tokens(now, later)
            predictions = self.model.predict(tokens.reshape(count, views, *tokens.shape[1:]), slots)
            size = predictions.motion.shape[-1]
            where = self.model.anchor(now, slots, views=views)
        # Still on the device: fetching numbers here would make a GPU wait for every block.
        return WindowPredictions(
            motion=predictions.motion,
            scale=predictions.scale,
            switch=predictions.switch.float().sigmoid(),
            moved=predictions.moved,
            anchor=where[:, :size],
            pose=where[:, size:],
            pooled=predictions.pooled,
            hidden=predictions.hidden,
        )

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


@dataclass(frozen=True, kw_only=True)
class ClipPrediction:
    """A network's predictions for all windows of a clip, and by view what the frames themselves tell."""

    windows: ClipWindows
    predictions: WindowPredictions
    checks: tuple[ClipCheck, ...]


def predict_clip(
    network: Network, episode: Episode, windows: ClipWindows, *, finder: ViewFinder, slot: int, reading: Reading
) -> ClipPrediction:
    """Run `network` over all windows of a clip; frames that no window needs are only looked at."""
    views = len(finder.cameras)
    scans = [FrameScan(episode.length) for _ in range(views)]
    predictions: list[WindowPredictions] = []
    cache: Features = ()
    first = done = 0
    for begin, parts in blocks(episode.length, lambda steps: finder.decode(episode, steps), reading):
        images = np.concatenate(parts)
        finder.release(episode, range(begin, begin + len(images)))
        for view, scan in enumerate(scans):
            scan.add(images[:, view])
        cache = _joined(cache, network.encode(images))
        # Windows whose later frame is here now; they come in the order of the clip.
        ready = int(np.searchsorted(windows.later, begin + len(images)))
        if ready > done:
            now, later = windows.now[done:ready] - first, windows.later[done:ready] - first
            predictions.append(
                network.predict(_rows(cache, now, views), _rows(cache, later, views), slot=slot, views=views)
            )
            done = ready
        keep_from = int(windows.now[done]) if done < len(windows) else begin + len(images)
        keep_from = min(keep_from, begin + len(images))
        cache = tuple(part[(keep_from - first) * views :] for part in cache)
        first = keep_from
    return ClipPrediction(
        windows=windows, predictions=joined_predictions(predictions), checks=tuple(scan.check() for scan in scans)
    )


def _rows(features: Features, frames: NDArray[np.int64], views: int) -> Features:
    if len(frames) and frames[-1] - frames[0] == len(frames) - 1 and (np.diff(frames) == 1).all():
        span = slice(int(frames[0]) * views, (int(frames[-1]) + 1) * views)
        return tuple(part[span] for part in features)
    index = torch.from_numpy((frames[:, None] * views + np.arange(views)).ravel()).to(features[0].device)
    return tuple(part.index_select(0, index) for part in features)


def _joined(cache: Features, new: Features) -> Features:
    if not cache or not len(cache[0]):
        return new
    return tuple(torch.cat([old, part]) for old, part in zip(cache, new, strict=True))


def joined_predictions(predictions: Sequence[WindowPredictions]) -> WindowPredictions:
    """Predictions for windows one after another, from wherever they were computed."""
    if not predictions:
        empty = np.empty((0,))
        return WindowPredictions(empty[None], *([empty] * 7))
    motion = np.concatenate([_numpy(each.motion) for each in predictions], axis=1)
    rest = [
        np.concatenate([_numpy(part) for part in parts])
        for parts in zip(*(each[1:] for each in predictions), strict=True)
    ]
    return WindowPredictions(motion, *rest)


def _numpy(values: Any) -> Array:
    array: Array = values.float().cpu().numpy() if isinstance(values, Tensor) else values
    return array


def slot_of(head: str, heads: Mapping[str, Any]) -> int:
    """The slot of a head."""
    return list(heads).index(head)
