"""Is a latent action model fit to label? Measured on held-out clips, and judged by gates.

No single number tells (measured on small models): a model without a bottleneck reconstructed best and had the worst
latent; NSVQ used every code and its latent said nothing of the action. So all of these are watched together.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lapa.fitting.clips import LapaClip
from lapa.labelling.encode_clip import Latents, encode_clip
from lapa.network.losses import squared_errors
from lapa.network.model import LatentActionModel
from storage.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a model must reach on held-out clips before it may label.

    Shares are of the codebook's size; `reconstruction` is the squared error over that of copying the present frame;
    `swap` the factor by which another clip's future must raise the error; `static_cosine` (S-PCFC) is the cosine of
    z(t-n, t) and z(t, t+n), near 1 when a latent describes the scene and not the change.
    """

    used_share: float = 0.9
    perplexity_share: float = 0.4
    reconstruction: float = 0.6
    swap: float = 2.0
    static_cosine: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Health:
    """Figures over `pairs` held-out pairs; code figures are 0 for a model without a bottleneck (and not judged).

    `toward_future` is the squared error to the later frame over that to the present one: below 1 the picture is
    closer to the future. `by_source` repeats code use, source by source.
    """

    pairs: int
    used_share: float
    perplexity_share: float
    largest_sequence_share: float
    reconstruction: float
    toward_future: float
    swap: float
    static_cosine: float
    latent_spread: float
    by_source: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """The numbers, by name."""
        return {name: float(value) for name, value in asdict(self).items() if name != "by_source"}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def failures(self, gates: Gates) -> tuple[str, ...]:
        """What keeps the model from labelling, in words; empty for a model that is fit."""
        quantised = self.used_share > 0
        checks = (
            (not quantised or self.used_share >= gates.used_share, "codes used", self.used_share, gates.used_share),
            (
                not quantised or self.perplexity_share >= gates.perplexity_share,
                "perplexity over codebook size",
                self.perplexity_share,
                gates.perplexity_share,
            ),
            (self.swap >= gates.swap, "endpoint swap", self.swap, gates.swap),
        )
        wrong = [f"{name} {value:.3g}, at least {bar:g} expected" for good, name, value, bar in checks if not good]
        for name, value, bar in (
            ("reconstruction over copying", self.reconstruction, gates.reconstruction),
            ("error to the future over that to the present", self.toward_future, 1.0),
            ("S-PCFC", self.static_cosine, gates.static_cosine),
        ):
            # NaN is a failure too.
            if not value <= bar:
                wrong.append(f"{name} {value:.3g}, at most {bar:g} expected")
        return tuple(wrong)


@torch.no_grad()
def measure(
    model: LatentActionModel, clips: Sequence[LapaClip], *, pairs: int = 2048, seed: int = 0, batch: int = 64
) -> Health:
    """Health of `model` on held-out `clips`, on about `pairs` pairs spread over all of them evenly."""
    was_training = model.training
    # In training mode codebooks with moving averages would learn from what they are measured on.
    model.eval()
    try:
        return _measure(model, clips, pairs=pairs, seed=seed, batch=batch)
    finally:
        model.train(was_training)


def _measure(model: LatentActionModel, clips: Sequence[LapaClip], *, pairs: int, seed: int, batch: int) -> Health:
    chosen = spread_steps(clips, pairs)
    latents = [encode_clip(model, clip, steps, batch=batch) for clip, steps in zip(clips, chosen, strict=True)]
    errors = _Errors(model, clips, chosen, np.random.default_rng(seed)).all(batch)
    codes = code_use(latents, model.config.quantizer.size)
    latent = np.concatenate([each.latent for each in latents])
    return Health(
        pairs=len(latent),
        **codes,
        **errors,
        static_cosine=static_cosine(model, clips, [steps[::3] for steps in chosen], batch=batch),
        latent_spread=float(latent.std(axis=0).mean()),
        by_source=_code_use_by_source(clips, latents, model.config.quantizer.size),
    )


def spread_steps(clips: Sequence[LapaClip], pairs: int) -> list[NDArray[np.int64]]:
    """About `pairs` good pairs of all clips, evenly spaced in time; all of them when there are fewer."""
    total = sum(len(clip.pairs) for clip in clips)
    if not total:
        raise InputError(f"{len(clips)} held-out clips hold no good pair: nothing to measure on")
    every = max(1, total // max(pairs, 1))
    return [clip.pairs[::every] for clip in clips]


def code_use(latents: Sequence[Latents], size: int) -> dict[str, float]:
    """Use of the codebook over all pairs together: share of codes used, perplexity over size, and the share of the most
    frequent whole sequence. Zeros without a bottleneck."""
    indices = np.concatenate([each.indices for each in latents])
    if not size or not indices.size:
        return {"used_share": 0.0, "perplexity_share": 0.0, "largest_sequence_share": 0.0}
    counts = np.bincount(indices.ravel(), minlength=size)
    shares = counts[counts > 0] / counts.sum()
    sequences = np.unique(indices, axis=0, return_counts=True)[1]
    return {
        "used_share": float((counts > 0).mean()),
        "perplexity_share": float(np.exp(-(shares * np.log(shares)).sum()) / size),
        "largest_sequence_share": float(sequences.max() / len(indices)),
    }


def _code_use_by_source(
    clips: Sequence[LapaClip], latents: Sequence[Latents], size: int
) -> dict[str, dict[str, float]]:
    grouped: dict[str, list[Latents]] = defaultdict(list)
    for clip, each in zip(clips, latents, strict=True):
        if len(each.latent):
            grouped[clip.source].append(each)
    return {source: code_use(each, size) for source, each in sorted(grouped.items())}


def static_cosine(
    model: LatentActionModel, clips: Sequence[LapaClip], chosen: Sequence[NDArray[np.int64]], *, batch: int = 64
) -> float:
    """S-PCFC: mean cosine of the latents of two windows that follow each other; NaN when no clip is long enough."""
    cosines = []
    for clip, steps in zip(clips, chosen, strict=True):
        first = steps[clip.flags[clip.later[steps]] == 0]
        before = encode_clip(model, clip, first, batch=batch).latent
        after = encode_clip(model, clip, clip.later[first], batch=batch).latent
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        cosines.append((before * after).sum(axis=1) / np.maximum(lengths, 1e-9))
    joined = np.concatenate(cosines)
    return float(joined.mean()) if len(joined) else float("nan")


class _Errors:
    """Sums of squared errors over pairs, each with the pair's own codes and with those of another clip's future."""

    def __init__(
        self,
        model: LatentActionModel,
        clips: Sequence[LapaClip],
        chosen: Sequence[NDArray[np.int64]],
        random: np.random.Generator,
    ) -> None:
        self.model, self.clips = model, clips
        self.rows = np.concatenate(
            [np.stack([np.full(len(steps), place), steps], axis=1) for place, steps in enumerate(chosen)]
        )
        self.swapped = self.rows[_elsewhere(self.rows[:, 0], random)]

    def all(self, batch: int) -> dict[str, float]:
        sums: dict[str, float] = defaultdict(float)
        for begin in range(0, len(self.rows), batch):
            rows, foreign = self.rows[begin : begin + batch], self.swapped[begin : begin + batch]
            now, later = self._frames(rows, later=False), self._frames(rows, later=True)
            pair = self.model(now, later)
            with_foreign = self.model(now, self._frames(foreign, later=True)).predicted
            sums["own"] += float(squared_errors(pair.predicted, later).sum())
            sums["to_present"] += float(squared_errors(pair.predicted, now).sum())
            sums["copy"] += float(squared_errors(now, later).sum())
            sums["foreign"] += float(squared_errors(with_foreign, later).sum())
        return {
            "reconstruction": sums["own"] / max(sums["copy"], 1e-12),
            "toward_future": sums["own"] / max(sums["to_present"], 1e-12),
            "swap": sums["foreign"] / max(sums["own"], 1e-12),
        }

    def _frames(self, rows: NDArray[np.int64], *, later: bool) -> torch.Tensor:
        clips = self.clips
        images = [clips[i].frames_of([int(clips[i].later[t]) if later else int(t)])[0] for i, t in rows]
        return self.model.look(torch.from_numpy(np.stack(images)))


def _elsewhere(clip_of_row: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """For each row the place of a random row of another clip (of any row when there is one clip)."""
    places = np.arange(len(clip_of_row))
    other = random.permutation(len(places))
    for _ in range(20):
        same = clip_of_row[other] == clip_of_row
        if not same.any() or len(np.unique(clip_of_row)) < 2:
            break
        other[same] = random.integers(len(places), size=int(same.sum()))
    return other


@dataclass(frozen=True, kw_only=True)
class CollapseRule:
    """When a run is beyond hope: judged at each validation from step `after_step` on."""

    after_step: int = 500
    used_share: float = 0.25
    perplexity_share: float = 0.1
    swap: float = 1.02
    latent_spread: float = 1e-4

    def __call__(self, step: int, figures: Mapping[str, float]) -> str:
        """The reason to stop, or "" (a `groot.fit.StopRule`)."""
        if step < self.after_step:
            return ""
        quantised = figures["used_share"] > 0
        reasons = {
            f"{figures['used_share']:.0%} of the codes are used": quantised and figures["used_share"] < self.used_share,
            f"perplexity is {figures['perplexity_share']:.3f} of the codebook": quantised
            and figures["perplexity_share"] < self.perplexity_share,
            f"another clip's future costs only {figures['swap']:.2f} times the error": figures["swap"] < self.swap,
            f"latents spread by only {figures['latent_spread']:.1e}": figures["latent_spread"] < self.latent_spread,
        }
        collapses = [text for text, collapsed in reasons.items() if collapsed]
        return f"the model has collapsed: {'; '.join(collapses)}" if collapses else ""
