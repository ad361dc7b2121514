"""Running a model over a clip: each frame decoded and encoded once, each window predicted once, in the order of the
clip.

Frames are decoded by several threads, and what they give is taken in the order of the frames, never in the order in
which they finish. Features are kept only as long as a window still needs them, so memory does not grow with the clip.
N windows, V views, M members, K steps, D numbers, C channels.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idm.labelling.camera_views import ViewFinder
from idm.labelling.clip_windows import ClipWindows
from idm.labelling.frame_flags import dark_frames, repeats
from idm.network.encoder import Features, folded
from idm.network.model import Idm
from storage.episode import Episode

Array = NDArray[Any]


class Opinion(NamedTuple):
    """What a network says of N windows, normalised: `motion` (M, N, K, D), `scale` (N, K, D), `switch` (N, K, D)
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

    def opinion(self, now: Features, later: Features, *, slot: int, views: int) -> Opinion:
        """What it says of windows whose frames have these features."""


class TorchNetwork:
    """An `Idm` on a device, without gradients, folded for speed. `at_once` frames go through it together, on a CPU few,
    so that they stay in its caches; of windows, whose maps are small, four times as many."""

    def __init__(self, model: Idm, *, device: str = "cpu", bf16: bool = False, at_once: int = 0) -> None:
        self.model: Any = folded(model).to(device)
        self.device, self.bf16 = torch.device(device), bf16
        self.at_once = at_once or (16 if self.device.type == "cpu" else 256)

    def encode(self, images: NDArray[np.uint8]) -> Features:
        flat = torch.from_numpy(images).flatten(0, 1)
        with torch.inference_mode(), self._precision():
            parts = [self.model.encode(part.to(self.device)) for part in torch.split(flat, self.at_once)]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(maps) for maps in zip(*parts, strict=True))

    def opinion(self, now: Features, later: Features, *, slot: int, views: int) -> Opinion:
        size = 4 * self.at_once * views
        pairs = zip(
            zip(*(torch.split(part, size) for part in now), strict=True),
            zip(*(torch.split(part, size) for part in later), strict=True),
            strict=True,
        )
        return joined_opinions([self._opinion(*pair, slot=slot, views=views) for pair in pairs])

    def _opinion(self, now: Features, later: Features, *, slot: int, views: int) -> Opinion:
        with torch.inference_mode(), self._precision():
            count = len(now[0]) // views
            slots = torch.full((count,), slot, device=self.device)
            tokens = self.model.tokens(now, later)
            said = self.model.predict(tokens.reshape(count, views, *tokens.shape[1:]), slots)
            size = said.motion.shape[-1]
            where = self.model.anchor(now, slots, views=views)
        return Opinion(
            motion=_numpy(said.motion),
            scale=_numpy(said.scale),
            switch=_numpy(said.switch.float().sigmoid()),
            moved=_numpy(said.moved),
            anchor=_numpy(where[:, :size]),
            pose=_numpy(where[:, size:]),
            pooled=_numpy(said.pooled),
            hidden=_numpy(said.hidden),
        )

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


@dataclass(frozen=True, kw_only=True)
class ClipOpinion:
    """A network's opinion of all windows of a clip, and what the frames themselves tell: `dark` and `same` (T,)."""

    windows: ClipWindows
    said: Opinion
    dark: NDArray[np.bool_]
    same: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a clip is read: windows at a time, decoding threads, and how many blocks are decoded ahead."""

    block: int = 128
    threads: int = 2
    ahead: int = 2


def clip_opinion(
    network: Network, episode: Episode, windows: ClipWindows, *, finder: ViewFinder, slot: int, reading: Reading
) -> ClipOpinion:
    """Run `network` over all windows of a clip; frames that no window needs are only looked at."""
    views = len(finder.cameras)
    dark, same = np.zeros(episode.length, bool), np.zeros(episode.length, bool)
    said: list[Opinion] = []
    cache: Features = ()
    first, last_image = 0, None
    done = 0
    for begin, images in _decoded(episode, finder, reading):
        span = slice(begin, begin + len(images))
        dark[span] = np.logical_or.reduce([dark_frames(images[:, view]) for view in range(views)])
        same[span] = _all_repeat(images, last_image)
        last_image = images[-1]
        cache = _joined(cache, network.encode(images))
        # Windows whose later frame is here now; they come in the order of the clip.
        ready = int(np.searchsorted(windows.later, begin + len(images)))
        if ready > done:
            now, later = windows.now[done:ready] - first, windows.later[done:ready] - first
            said.append(network.opinion(_rows(cache, now, views), _rows(cache, later, views), slot=slot, views=views))
            done = ready
        keep_from = int(windows.now[done]) if done < len(windows) else begin + len(images)
        keep_from = min(keep_from, begin + len(images))
        cache = tuple(part[(keep_from - first) * views :] for part in cache)
        first = keep_from
    return ClipOpinion(windows=windows, said=joined_opinions(said), dark=dark, same=same)


def _decoded(episode: Episode, finder: ViewFinder, reading: Reading) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Blocks of frames in order, decoded ahead by threads."""
    begins = range(0, episode.length, reading.block)
    with ThreadPoolExecutor(max_workers=reading.threads) as pool:
        waiting: list[tuple[int, list[Future[NDArray[np.uint8]]]]] = []
        for begin in begins:
            numbers = range(begin, min(begin + reading.block, episode.length))
            waiting.append((begin, _submitted(pool, episode, finder, numbers, reading.threads)))
            if len(waiting) > reading.ahead:
                yield _taken(waiting.pop(0))
        while waiting:
            yield _taken(waiting.pop(0))


def _submitted(
    pool: ThreadPoolExecutor, episode: Episode, finder: ViewFinder, numbers: range, parts: int
) -> list[Future[NDArray[np.uint8]]]:
    share = max(-(-len(numbers) // parts), 1)
    return [
        pool.submit(finder.decode, episode, numbers[place : place + share]) for place in range(0, len(numbers), share)
    ]


def _taken(block: tuple[int, list[Future[NDArray[np.uint8]]]]) -> tuple[int, NDArray[np.uint8]]:
    begin, parts = block
    return begin, np.concatenate([part.result() for part in parts])


def _all_repeat(images: NDArray[np.uint8], last: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    """Frames that repeat the one before in every view."""
    every = [repeats(images[:, view], None if last is None else last[view]) for view in range(images.shape[1])]
    both: NDArray[np.bool_] = np.logical_and.reduce(every)
    return both


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


def joined_opinions(said: Sequence[Opinion]) -> Opinion:
    """Opinions of windows one after another."""
    if not said:
        empty = np.empty((0,))
        return Opinion(empty[None], *([empty] * 7))
    motion = np.concatenate([opinion.motion for opinion in said], axis=1)
    rest = [np.concatenate(parts) for parts in zip(*(opinion[1:] for opinion in said), strict=True)]
    return Opinion(motion, *rest)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array


def to_device(name: str) -> str:
    """ "auto" is the first GPU where there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def slot_of(head: str, heads: Mapping[str, Any]) -> int:
    """The slot of a head."""
    return list(heads).index(head)
