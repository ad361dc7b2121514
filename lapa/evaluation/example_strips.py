"""Pictures of what a latent means: neighbours in other bodies, actions moved to another scene, extremes of motion."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lapa.evaluation.retrieval import nearest
from lapa.fitting.clips import LapaClip
from lapa.fitting.health import spread_steps
from lapa.labelling.encode_clip import Latents, encode_clip
from lapa.network.model import LatentActionModel

Image = NDArray[np.uint8]
_SCALE_TO_PX = 160
_APART_STEPS = 20


@dataclass(frozen=True)
class Strip:
    """Pictures side by side with a word on each; `title` says what the row shows."""

    title: str
    words: tuple[str, ...]
    images: tuple[Image, ...]

    @property
    def data_uris(self) -> list[str]:
        """The pictures as PNG data URIs, brought to a height that one can look at."""
        return [data_uri(image) for image in self.images]


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one source: rows (clip, step) and their latents."""

    clips: Sequence[LapaClip]
    rows: NDArray[np.int64]
    latents: Latents
    size: NDArray[np.float64]


def data_uri(image: Image) -> str:
    """`image` (H, W, 3) as a PNG data URI."""
    factor = max(1, round(_SCALE_TO_PX / image.shape[0]))
    large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    encoded = cv2.imencode(".png", large[:, :, ::-1])[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def neighbour_strips(
    model: LatentActionModel, clips: Sequence[LapaClip], *, count: int, pairs: int = 1024
) -> list[Strip]:
    """`count` moving pairs of each source, and the pair with the nearest latent in each other source."""
    sources = _by_source(model, clips, pairs)
    strips = []
    for name, mine in sources.items():
        others = {other: each for other, each in sources.items() if other != name}
        nearest_of = {other: nearest(mine.latents.latent, each.latents.latent)[:, 0] for other, each in others.items()}
        for row in _lively(mine, count) if others else []:
            words, images = [f"{name}: now", "later"], list(_both(mine, row))
            for other, each in others.items():
                words += [f"{other}: now", "later"]
                images += _both(each, int(nearest_of[other][row]))
            strips.append(Strip(f"nearest latents to a pair of {name}", tuple(words), tuple(images)))
    return strips


def transfer_strips(
    model: LatentActionModel, clips: Sequence[LapaClip], *, count: int, pairs: int = 1024
) -> list[Strip]:
    """The action of one clip applied to the first frame of another, from every source to every source."""
    if model.tower is not None:
        return []
    sources = _by_source(model, clips, pairs)
    strips = []
    for name, mine in sources.items():
        for other, each in sources.items():
            for number, row in enumerate(_lively(mine, count)):
                target = int((number * 7919) % len(each.rows))
                first = _both(each, target)[0]
                moved = _decoded(model, first, mine.latents.codes[row])
                words = (f"{name}: now", "later", f"{other}: now", "with the action")
                strips.append(Strip(f"action of {name} in {other}", words, (*_both(mine, row), first, moved)))
    return strips


def motion_strips(model: LatentActionModel, clips: Sequence[LapaClip], *, count: int, pairs: int = 1024) -> list[Strip]:
    """Pairs with the largest and the smallest motion by the model's own account (change that it decodes)."""
    strips = []
    for name, mine in _by_source(model, clips, pairs).items():
        order = np.argsort(mine.size)
        for title, ranked in (("most motion", order[::-1]), ("least motion", order)):
            rows = _apart(mine, ranked, count)
            images = [image for row in rows for image in _both(mine, int(row))]
            strips.append(Strip(f"{title}, {name}", ("now", "later") * len(rows), tuple(images)))
    return strips


@torch.no_grad()
def _by_source(model: LatentActionModel, clips: Sequence[LapaClip], pairs: int) -> dict[str, _Pairs]:
    grouped: dict[str, list[tuple[LapaClip, NDArray[np.int64]]]] = defaultdict(list)
    for clip, steps in zip(clips, spread_steps(clips, pairs), strict=True):
        if len(steps):
            grouped[clip.source].append((clip, steps))
    return {name: _pairs(model, each) for name, each in sorted(grouped.items())}


def _pairs(model: LatentActionModel, chosen: Sequence[tuple[LapaClip, NDArray[np.int64]]]) -> _Pairs:
    encoded = [encode_clip(model, clip, steps) for clip, steps in chosen]
    rows = np.concatenate([np.stack([np.full(len(s), i), s], axis=1) for i, (_, s) in enumerate(chosen)])
    latents = Latents(
        np.concatenate([each.latent for each in encoded]),
        np.concatenate([each.codes for each in encoded]),
        np.concatenate([each.indices for each in encoded]),
    )
    sizes = [_change(model, clip, steps, each) for (clip, steps), each in zip(chosen, encoded, strict=True)]
    return _Pairs([clip for clip, _ in chosen], rows, latents, np.concatenate(sizes))


def _change(
    model: LatentActionModel, clip: LapaClip, steps: NDArray[np.int64], latents: Latents
) -> NDArray[np.float64]:
    """Mean size of the change that the decoder draws for each pair, (P,)."""
    sizes = []
    for begin in range(0, len(steps), 64):
        now = model.look(torch.from_numpy(clip.frames_of([int(step) for step in steps[begin : begin + 64]])))
        codes = torch.from_numpy(latents.codes[begin : begin + 64]).to(model.device)
        later = model.decode(now, codes.view(len(codes), model.config.codes, -1))
        sizes.append((later - now).abs().mean(dim=(1, 2, 3)).cpu().numpy().astype(np.float64))
    return np.concatenate(sizes)


def _lively(pairs: _Pairs, count: int) -> list[int]:
    """`count` rows spread over the livelier half of the pairs."""
    lively = np.flatnonzero(pairs.size >= np.median(pairs.size))
    places = np.linspace(0, len(lively) - 1, min(count, len(lively))).astype(int)
    return [int(lively[place]) for place in places]


def _apart(pairs: _Pairs, ranked: NDArray[np.int64], count: int) -> list[int]:
    """The first `count` of `ranked` rows that are not neighbours in one clip: they would show one moment again."""
    chosen: list[int] = []
    for row in ranked:
        clip, step = pairs.rows[row]
        near = (pairs.rows[other] for other in chosen if pairs.rows[other, 0] == clip)
        if all(abs(int(step) - int(other[1])) >= _APART_STEPS for other in near):
            chosen.append(int(row))
        if len(chosen) == count:
            break
    return chosen


def _both(pairs: _Pairs, row: int) -> tuple[Image, Image]:
    clip, step = pairs.clips[int(pairs.rows[row, 0])], int(pairs.rows[row, 1])
    now, later = clip.frames_of([step, int(clip.later[step])])
    return now, later


@torch.no_grad()
def _decoded(model: LatentActionModel, first: Image, codes: NDArray[np.float32]) -> Image:
    now = model.look(torch.from_numpy(first[None]))
    flat = torch.from_numpy(codes).to(model.device).view(1, model.config.codes, -1)
    picture = (model.decode(now, flat)[0] + 0.5).clamp(0, 1) * 255
    return picture.permute(1, 2, 0).round().byte().cpu().numpy()
