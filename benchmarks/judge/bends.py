"""What the judge sees in its last fit: arms bent anew for every batch, and pictures as soft as a video model's.

Each episode is drawn with one warped clip, and so few are learned by heart. Here a frame is bent where it differs from
another of its episode, which is where the arm is. First tower and projector learn to say it loudly, in the direction of
the tokens that the language model reads: where the tower alone knew it, replies never came to depend on it.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import AyaVisionForConditionalGeneration, AyaVisionModel

from benchmarks.judge.clips import MOMENTS, Drawn, bend
from benchmarks.judge.detector_starter import pixels_of
from benchmarks.judge.lessons import Shown
from benchmarks.judge.model import PATCH_PX, TOKENS_A_FRAME
from benchmarks.judge.optimise import set_rate, update

log = logging.getLogger(__name__)
LOUD = 8.0
"""How much a token that lies wholly in the direction of what is bent says so, as a logit."""
MOVED_LEVELS, CHANGED_LEVELS = 20, 4.0
"""A pixel belongs to what moves, and a patch to what is bent, from so many levels on."""


def bent_at_random(drawn: Drawn, frame: int, rng: np.random.Generator, *, times: int = 1) -> NDArray[np.uint8] | None:
    """The true frame at moment `frame` of an episode, bent where the arm is; None where nothing is seen of it."""
    x0, y0, x1, y1 = drawn.boxes[frame, drawn.names.index("robot arm"), :4].astype(int)
    picture = drawn.frames[frame]
    if x1 <= x0 or y1 <= y0:
        return None
    other = drawn.frames[int(rng.integers(MOMENTS))]
    ys, xs = np.nonzero(cv2.absdiff(picture[y0:y1, x0:x1], other[y0:y1, x0:x1]).max(axis=-1) > MOVED_LEVELS)
    if len(ys) == 0:
        return None
    bent: NDArray[np.uint8] = picture
    for _ in range(times):
        at = int(rng.integers(len(ys)))
        bent = bend(bent, (int(x0 + xs[at]), int(y0 + ys[at])), rng)
    return bent


def bent_anew(drawn: Drawn, rng: np.random.Generator, *, more: float = 0.0) -> Drawn:
    """The episode with another warped clip: a run of its moments, as long as the one it was drawn with. With `more`
    (0..1) the run grows to the whole clip, and frames are bent up to three times: what is easy to see comes first."""
    begin = int(rng.integers(3, MOMENTS - 5))
    end = int(rng.integers(begin + 4, MOMENTS + 1))
    order = list(range(MOMENTS))
    made: list[NDArray[np.uint8]] = []
    for moment in range(round(begin * (1 - more)), round(end + (MOMENTS - end) * more)):
        bent = bent_at_random(drawn, moment, rng, times=1 + round(2 * more))
        if bent is not None:
            order[moment] = MOMENTS + len(made)
            made.append(bent)
    frames = np.concatenate([drawn.frames[:MOMENTS], np.array(made, np.uint8).reshape(-1, *drawn.frames.shape[1:])])
    return replace(drawn, frames=frames, clips={**drawn.clips, "warped": tuple(order)})


def softened(clip: Shown, rng: np.random.Generator) -> Shown:
    """The clip at half its size, blurred, and back."""
    pictures = clip.drawn.frames[list(clip.frames)]
    height, width = (size // 2 for size in pictures.shape[1:3])
    blur = float(rng.uniform(0.3, 1.0))
    small = [
        cv2.GaussianBlur(cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA), (0, 0), blur)
        for each in pictures
    ]
    soft = [cv2.resize(each, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC) for each in small]
    return _with_pictures(clip, np.stack(soft))


def moved(clip: Shown, rng: np.random.Generator) -> Shown:
    """The clip shifted by a few pixels, and a little brighter or darker."""
    pictures = clip.drawn.frames[list(clip.frames)]
    right, down = rng.integers(-5, 6, 2)
    gain, more = rng.uniform(0.9, 1.1), rng.uniform(-8, 8)
    way, size = np.array([[1, 0, right], [0, 1, down]], np.float32), (pictures.shape[2], pictures.shape[1])
    shifted = [cv2.warpAffine(each, way, size, borderMode=cv2.BORDER_REPLICATE) for each in pictures]
    shown = np.clip(np.stack(shifted).astype(np.float32) * gain + more, 0, 255).astype(np.uint8)
    return _with_pictures(clip, shown)


def _with_pictures(clip: Shown, pictures: NDArray[np.uint8]) -> Shown:
    """The clip with other pictures (8, H, W, 3), in its order."""
    return replace(clip, drawn=replace(clip.drawn, frames=pictures), frames=tuple(range(len(pictures))))


def changed_patches(whole: NDArray[np.uint8], bent: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(patches,) in rows, true where a bent frame differs from the whole one."""
    change = np.abs(whole.astype(np.float32) - bent).mean(axis=-1)
    rows = change.shape[0] // PATCH_PX
    mean = change.reshape(rows, PATCH_PX, rows, PATCH_PX).mean(axis=(1, 3))
    changed: NDArray[np.bool_] = mean.ravel() > CHANGED_LEVELS
    return changed


def teach(model: AyaVisionForConditionalGeneration, drawn: Sequence[Drawn], *, steps: int, frames: int = 12) -> None:
    """Fit tower and projector to tell bent tokens from whole ones by one direction of the tokens (a linear map of unit
    length, of tokens of unit length), while they say of whole frames what they said before."""
    inner = model.model
    before = copy.deepcopy(inner).requires_grad_(False)
    told = nn.Linear(model.config.text_config.hidden_size, 1)
    parts = (inner.vision_tower, inner.multi_modal_projector, told)
    learned = [parameter for part in parts for parameter in part.requires_grad_(True).parameters()]
    optimiser = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    rng = np.random.default_rng(4)
    for step in range(steps):
        set_rate(optimiser, 1e-3, step=step, share=step / steps)
        whole, bent = _pairs(drawn, frames, rng)
        target = torch.cat([torch.zeros(frames, TOKENS_A_FRAME), _bent_tokens(inner, whole, bent)])
        tokens = _tokens(inner, np.concatenate([whole, bent]))
        said = LOUD * (functional.normalize(tokens, dim=-1) @ functional.normalize(told.weight, dim=-1).T)[..., 0]
        with torch.no_grad():
            kept = _tokens(before, whole)
        drift = functional.mse_loss(tokens[:frames], kept) / kept.var()
        seen = functional.binary_cross_entropy_with_logits(said + told.bias, target)
        update(optimiser, learned, seen + drift)
        if step % 25 == 0:
            most = said.detach().amax(dim=1)
            right = float((most[frames:, None] > most[None, :frames]).float().mean())
            log.info("bends, step %d: bent %.4f, drift %.4f, frames told apart %.3f", step, seen, drift, right)


def _tokens(inner: AyaVisionModel, frames: NDArray[np.uint8]) -> Tensor:
    """What the language model is given of frames, (N, tokens, width)."""
    states = inner.vision_tower(pixels_of(frames)).last_hidden_state[:, 1:]
    tokens: Tensor = inner.multi_modal_projector(states)
    return tokens.reshape(len(frames), TOKENS_A_FRAME, -1)


def _bent_tokens(inner: AyaVisionModel, whole: NDArray[np.uint8], bent: NDArray[np.uint8]) -> Tensor:
    """(N, tokens), 1 where a quarter of a token's patches is bent; patches are gathered as the projector does it."""
    patches = np.stack([changed_patches(*pair) for pair in zip(whole, bent, strict=True)])
    gathered: Tensor = inner.multi_modal_projector.pixel_shuffle(torch.from_numpy(patches).float()[..., None])
    return (gathered.reshape(len(whole), TOKENS_A_FRAME, -1).mean(dim=-1) > 0.25).float()


def _pairs(drawn: Sequence[Drawn], count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Frames as they are, and bent, (count, H, W, 3) each."""
    whole: list[NDArray[np.uint8]] = []
    bent: list[NDArray[np.uint8]] = []
    while len(bent) < count:
        one = drawn[int(rng.integers(len(drawn)))]
        frame = int(rng.integers(MOMENTS))
        made = bent_at_random(one, frame, rng)
        if made is not None:
            whole.append(one.frames[frame])
            bent.append(made)
    return np.stack(whole), np.stack(bent)
