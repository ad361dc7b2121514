"""Latents of whole clips: in order, each frame encoded once, and no more frames held than a window spans.

Where the encoder looks at single frames its tokens are computed once a frame; where it fuses a pair at its input
there is one pass a pair, which is one a step as well. So a clip costs about one encoder pass a frame either way.
`encode_video` is what labels are made with: it decodes every frame once, looks for what is wrong with them on the way,
and keeps a few pairs to see whether the model understands the video. `encode_clip` reads any pairs of a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groot.device import on_device
from lapa.fitting.clips import Images, LapaClip, decode_resized
from lapa.network.losses import squared_errors
from lapa.network.model import LatentActionModel
from storage.frames import Frames
from storage.pictures.frame_checks import ClipCheck, FrameCheckConfig, FrameScan
from storage.pictures.read_ahead import Reading, blocks

Array = NDArray[np.float32]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Latents:
    """What the model says of P pairs, in the order of the steps asked for: `latent` (P, C x D) before quantisation,
    `codes` (P, C x D) after it, `indices` (P, I) int32."""

    latent: Array
    codes: Array
    indices: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class VideoReading:
    """What one pass over a video gives: `pairs` (P,) are the steps with a later moment, `latents` theirs, `check` what
    the frames tell, `sampled` (S,) some of the pairs, and for them the squared error (S,) of the rebuilt later frame
    against the later, and of the present frame, the rebuilt one and the later one against each other."""

    pairs: Steps
    latents: Latents
    check: ClipCheck
    sampled: Steps
    own: Array
    to_present: Array
    copy: Array


@torch.no_grad()
def encode_video(
    model: LatentActionModel,
    frames: Frames,
    later: Steps,
    *,
    reading: Reading | None = None,
    batch: int = 32,
    samples: int = 0,
    checks: FrameCheckConfig | None = None,
) -> VideoReading:
    """Latents of all pairs (t, later[t]) of a video; the model should be in eval mode. `samples` pairs, evenly spread,
    are rebuilt."""
    size_px = (model.config.height_px, model.config.width_px)
    pairs = np.flatnonzero(later >= 0)
    sampled = pairs[np.unique(np.linspace(0, len(pairs) - 1, min(samples, len(pairs))).round().astype(int))]
    wanted = set(np.concatenate([sampled, later[sampled]]).tolist())
    kept: dict[int, Images] = {}
    scan, window = FrameScan(len(frames), checks), _Window(model)
    blocks_so_far: list[tuple[Tensor, ...]] = []
    done = 0
    for begin, parts in blocks(len(frames), lambda steps: decode_resized(frames, size_px, steps), reading or Reading()):
        for images, corrupt in parts:
            scan.add(images, corrupt)
            kept |= {step: images[step - begin].copy() for step in wanted & set(range(begin, begin + len(images)))}
            window.add(images, batch)
            frames.release(range(begin, begin + len(images)))
            begin += len(images)
        ready = int(np.searchsorted(later[pairs], begin))
        blocks_so_far += [window.encoded(some, later[some]) for some in _split(pairs[done:ready], batch)]
        done = ready
        window.forget(int(pairs[done]) if done < len(pairs) else begin)
    latents = _joined(blocks_so_far, model)
    codes = latents.codes[np.searchsorted(pairs, sampled)]
    errors = _rebuilt(model, [kept[int(t)] for t in sampled], [kept[int(later[t])] for t in sampled], codes)
    return VideoReading(
        pairs=pairs,
        latents=latents,
        check=scan.check(),
        sampled=sampled,
        own=errors[0],
        to_present=errors[1],
        copy=errors[2],
    )


@torch.no_grad()
def encode_clip(
    model: LatentActionModel, clip: LapaClip, steps: Sequence[int] | Steps | None = None, *, batch: int = 32
) -> Latents:
    """Latents of the pairs that start at `steps` (all good pairs by default). The model should be in eval mode."""
    chosen = clip.pairs if steps is None else np.asarray(steps, np.int64)
    parts = []
    for some in _split(chosen, batch):
        needed = np.unique(np.concatenate([some, clip.later[some]]))
        seen = model.encoder.of_frame(model.look(torch.from_numpy(clip.frames_of(needed.tolist()))))
        now, later = (torch.from_numpy(np.searchsorted(needed, at)) for at in (some, clip.later[some]))
        parts.append(_of_pairs(model, seen[now], seen[later]))
    return _joined(parts, model)


class _Window:
    """What the encoder needs of the frames that some pair still waits for."""

    def __init__(self, model: LatentActionModel) -> None:
        self.model, self.first = model, 0
        self.kept: Tensor | None = None

    def add(self, images: Images, batch: int) -> None:
        """The next frames (N, h, w, 3)."""
        for begin in range(0, len(images), batch):
            part = on_device(torch.from_numpy(images[begin : begin + batch]), self.model.device)
            seen = self.model.encoder.of_frame(self.model.look(part))
            self.kept = seen if self.kept is None or not len(self.kept) else torch.cat([self.kept, seen])

    def encoded(self, now: Steps, later: Steps) -> tuple[Tensor, ...]:
        """Latent, codes and indices of the pairs (now, later)."""
        return _of_pairs(self.model, self._at(now), self._at(later))

    def _at(self, steps: Steps) -> Tensor:
        assert self.kept is not None
        begin = int(steps[0]) - self.first
        if len(steps) == steps[-1] - steps[0] + 1 and bool((np.diff(steps) == 1).all()):
            return self.kept[begin : begin + len(steps)]
        return self.kept[torch.from_numpy(steps - self.first)]

    def forget(self, before: int) -> None:
        """Drop what no later pair will look at again."""
        if self.kept is not None:
            self.kept = self.kept[before - self.first :]
            self.first = before


def _of_pairs(model: LatentActionModel, now: Tensor, later: Tensor) -> tuple[Tensor, ...]:
    latent_BCD = model.encoder.of_pair(now, later).float()
    out = model.quantise(latent_BCD)
    return latent_BCD, out.codes, out.indices


def _split(steps: Steps, batch: int) -> list[Steps]:
    return [steps[begin : begin + batch] for begin in range(0, len(steps), batch)]


def _joined(blocks_so_far: Sequence[tuple[Tensor, ...]], model: LatentActionModel) -> Latents:
    """Batches one after another, from wherever they were computed."""
    if not blocks_so_far:
        nothing = np.zeros((0, model.config.latent_size), np.float32)
        return Latents(nothing, nothing, np.zeros((0, model.config.indices), np.int32))
    latent, code, indices = (torch.cat(parts).cpu() for parts in zip(*blocks_so_far, strict=True))
    return Latents(latent.flatten(1).numpy(), code.flatten(1).numpy(), indices.numpy().astype(np.int32))


def _rebuilt(
    model: LatentActionModel, now: Sequence[Images], later: Sequence[Images], codes: Array
) -> tuple[Array, Array, Array]:
    """Squared errors (S,) of the rebuilt later frames against the later and the present ones, and of those two."""
    if not now:
        nothing = np.zeros(0, np.float32)
        return nothing, nothing, nothing
    present, future = (model.look(torch.from_numpy(np.stack(images))) for images in (now, later))
    shape = (len(now), model.config.codes, model.config.code_dim)
    rebuilt = model.decode(present, torch.from_numpy(codes).to(model.device).reshape(shape))
    pairs = ((rebuilt, future), (rebuilt, present), (present, future))
    own, to_present, copy = (squared_errors(*pair).cpu().numpy() for pair in pairs)
    return own, to_present, copy
