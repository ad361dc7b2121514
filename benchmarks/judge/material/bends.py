"""Arms bent anew, and where things are: what tower and projector of the starter judge are taught in its last fit.

Each episode is drawn with one warped clip, and so few are learned by heart. Here a frame is bent where it differs from
another of its episode, which is where the arm is. Tower and projector learn to say it loudly, and to say where each
named thing lies, in directions of the tokens that the language model reads: where the tower alone knew it, replies
never came to depend on it.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import AyaVisionForConditionalGeneration, AyaVisionModel

from benchmarks.judge.clips import MOMENTS, SCENARIOS, Drawn, bend
from benchmarks.judge.detector_starter import pixels_of
from benchmarks.judge.material.views import PLAIN, Pictures, view
from benchmarks.judge.model import PATCH_PX, TOKENS_A_FRAME
from benchmarks.judge.optimise import set_rate, update

log = logging.getLogger(__name__)
LOUD = 8.0
"""How much a token that lies wholly in the direction of something says so, as a logit."""
MOVED_LEVELS, CHANGED_LEVELS = 20, 4.0
"""A pixel belongs to what moves, and a patch to what is bent, from so many levels on."""
SEEN_PX = 6
"""A thing counts as there when so many of its pixels are seen."""
ARM = "robot arm"
THING = {each.task: each.names[each.thing] for each in SCENARIOS}
"""What is moved in a task."""


def bent_at_random(drawn: Drawn, frame: int, rng: np.random.Generator) -> Pictures | None:
    """The true frame at moment `frame` of an episode, bent where the arm is; None where nothing is seen of it."""
    x0, y0, x1, y1 = drawn.boxes[frame, drawn.names.index(ARM), :4].astype(int)
    picture = drawn.frames[frame]
    if x1 <= x0 or y1 <= y0:
        return None
    other = drawn.frames[int(rng.integers(MOMENTS))]
    ys, xs = np.nonzero(cv2.absdiff(picture[y0:y1, x0:x1], other[y0:y1, x0:x1]).max(axis=-1) > MOVED_LEVELS)
    if len(ys) == 0:
        return None
    at = int(rng.integers(len(ys)))
    return bend(picture, (int(x0 + xs[at]), int(y0 + ys[at])), rng)


def changed_patches(whole: Pictures, bent: Pictures) -> NDArray[np.bool_]:
    """(patches,) in rows, true where a bent frame differs from the whole one."""
    change = np.abs(whole.astype(np.float32) - bent).mean(axis=-1)
    rows = change.shape[0] // PATCH_PX
    mean = change.reshape(rows, PATCH_PX, rows, PATCH_PX).mean(axis=(1, 3))
    changed: NDArray[np.bool_] = mean.ravel() > CHANGED_LEVELS
    return changed


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A frame, the patches that are bent in it, and the patch in whose middle each of the names lies (-1: it is not to
    be seen, -2: nobody knows)."""

    picture: Pictures
    bent: NDArray[np.bool_]
    places: NDArray[np.int64]


def sample(drawn: Drawn, names: Sequence[str], rng: np.random.Generator) -> list[Sample]:
    """Of one episode: a frame as it is and the same bent, or one from which the thing has vanished; seen alike."""
    look = PLAIN if rng.random() < 0.4 else view(rng, soft=rng.random() < 0.5, moved=rng.random() < 0.7)
    nothing = np.zeros((drawn.frames.shape[1] // PATCH_PX) ** 2, bool)
    gone = [number for number in drawn.clips.get("vanished", ()) if number >= MOMENTS]
    if gone and rng.random() < 1 / 3:
        moment = int(rng.integers(len(gone)))
        at = drawn.clips["vanished"].index(gone[moment])
        places = _places(drawn, at, names, right=look.right, down=look.down)
        places[names.index(THING[drawn.task])] = -1
        return [Sample(picture=look(drawn.frames[gone[moment]]), bent=nothing, places=places)]
    moment = int(rng.integers(MOMENTS))
    picture, places = look(drawn.frames[moment]), _places(drawn, moment, names, right=look.right, down=look.down)
    whole = Sample(picture=picture, bent=nothing, places=places)
    bent = bent_at_random(drawn, moment, rng)
    if bent is None:
        return [whole]
    bent = look(bent)
    return [whole, Sample(picture=bent, bent=changed_patches(picture, bent), places=np.full_like(places, -2))]


def _places(drawn: Drawn, moment: int, names: Sequence[str], *, right: int, down: int) -> NDArray[np.int64]:
    size = drawn.frames.shape[1]
    places = np.full(len(names), -1)
    for name, (x0, y0, x1, y1, seen) in zip(drawn.names, drawn.boxes[moment], strict=True):
        x, y = (int(np.clip(each, 0, size - 1)) // PATCH_PX for each in ((x0 + x1) / 2 + right, (y0 + y1) / 2 + down))
        if name in names and seen >= SEEN_PX:
            places[names.index(name)] = y * (size // PATCH_PX) + x
    return places


def teach(model: AyaVisionForConditionalGeneration, drawn: Sequence[Drawn], *, steps: int, frames: int = 20) -> None:
    """Fit tower and projector to tell bent tokens from whole ones, and to say in which token each thing lies, by one
    direction of the tokens each (a linear map of unit length, of tokens of unit length), while they say of whole frames
    what they said before."""
    inner = model.model
    before = copy.deepcopy(inner).requires_grad_(False)
    names = sorted({name for one in drawn for name in one.names} - {ARM})
    told = nn.Linear(model.config.text_config.hidden_size, 1 + len(names))
    nn.init.constant_(told.bias, -2.0)
    parts = (inner.vision_tower, inner.multi_modal_projector, told)
    learned = [parameter for part in parts for parameter in part.requires_grad_(True).parameters()]
    optimiser = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    rng = np.random.default_rng(4)
    for step in range(steps):
        set_rate(optimiser, 1e-3, step=step, share=step / steps)
        batch: list[Sample] = []
        while len(batch) < frames:
            batch += sample(drawn[int(rng.integers(len(drawn)))], names, rng)
        pictures = np.stack([each.picture for each in batch])
        bent = torch.tensor([bool(each.bent.any()) for each in batch])
        whole = ~bent
        tokens = tokens_of(inner, pictures)
        said = LOUD * (functional.normalize(tokens, dim=-1) @ functional.normalize(told.weight, dim=-1).T) + told.bias
        with torch.no_grad():
            kept = tokens_of(before, pictures)
        drift = functional.mse_loss(tokens[whole], kept[whole]) / kept.var()
        bends = functional.binary_cross_entropy_with_logits(said[..., 0], _tokens_bent(inner, batch))
        where = _tokens_with(inner, batch, len(names))
        found = functional.binary_cross_entropy_with_logits(said[..., 1:][whole], where[whole])
        update(optimiser, learned, bends + 5 * found + drift)
        if step % 25 == 0:
            most = said.detach()[..., 0].amax(dim=1)
            apart = float((most[bent][:, None] > most[whole][None, :]).float().mean())
            there = where[whole].amax(dim=1) > 0
            hit = where[whole].gather(1, said[..., 1:][whole].argmax(dim=1, keepdim=True))[:, 0][there].mean()
            log.info(
                "seeing, step %d: bends %.4f, apart %.3f, things %.4f, found %.3f, drift %.4f",
                *(step, bends, apart, found, hit, drift),
            )


def tokens_of(inner: AyaVisionModel, frames: Pictures) -> Tensor:
    """What the language model is given of frames, (N, tokens, width)."""
    states = inner.vision_tower(pixels_of(frames)).last_hidden_state[:, 1:]
    tokens: Tensor = inner.multi_modal_projector(states)
    return tokens.reshape(len(frames), TOKENS_A_FRAME, -1)


def _gathered(inner: AyaVisionModel, patches: NDArray[np.bool_]) -> Tensor:
    """(N, patches) to (N, tokens, patches of a token), as the projector gathers them."""
    gathered: Tensor = inner.multi_modal_projector.pixel_shuffle(torch.from_numpy(patches).float()[..., None])
    return gathered.reshape(len(patches), TOKENS_A_FRAME, -1)


def _tokens_bent(inner: AyaVisionModel, batch: Sequence[Sample]) -> Tensor:
    """(N, tokens), 1 where a quarter of a token's patches is bent."""
    return (_gathered(inner, np.stack([each.bent for each in batch])).mean(dim=-1) > 0.25).float()


def _tokens_with(inner: AyaVisionModel, batch: Sequence[Sample], names: int) -> Tensor:
    """(N, tokens, names), 1 where a thing lies."""
    patches = len(batch[0].bent)
    places = np.stack([each.places for each in batch])
    there = places[..., None] == np.arange(patches)
    return _gathered(inner, there.reshape(-1, patches)).amax(dim=-1).reshape(len(batch), names, -1).transpose(1, 2)
