"""Probe tables: what each source's motion owes to the latent, beside what plainer features and shuffling give."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lapa.evaluation.linear_probe import by_group, fit_probe
from lapa.fitting.clips import LapaClip
from lapa.fitting.health import spread_steps
from lapa.fitting.targets import Motion, motion_of
from lapa.labelling.encode_clip import encode_clip
from lapa.network.model import LatentActionModel
from storage.errors import InputError
from storage.labelling.scores import r_squared

Array = NDArray[np.float32]
MotionOf = Callable[[LapaClip, NDArray[np.int64]], Motion | None]
Table = Mapping[str, Mapping[str, float]]
"""Feature -> dimension group -> R2 on held-out clips."""

_DIFFERENCE_PX = (24, 18)
_STILL = 1e-4
"""A number whose standard deviation is below this does not move."""


@dataclass(frozen=True)
class ProbeRows:
    """Pairs of one source: `features` by name (P, F), `motions` (P, A), the clip of each row (P,), and the groups."""

    features: Mapping[str, Array]
    motions: Array
    clips: NDArray[np.int64]
    groups: Mapping[str, slice]


def probe_tables(
    model: LatentActionModel,
    training: Sequence[LapaClip],
    held_out: Sequence[LapaClip],
    *,
    motion: MotionOf = motion_of,
    pairs: int = 4096,
    baselines: bool = True,
) -> dict[str, Table]:
    """For each source with known motion a table of R2: "latent" (before quantisation) and "codes" (after it), and as
    baselines "difference" (the raw difference of the frames, small), "random" (an encoder that was never trained)
    and "shuffled" (the latent against motions of other moments).

    Probes are fitted on `training` clips, and scored on `held_out` ones of the same source.
    """
    untrained = _untrained(model) if baselines else None
    tables: dict[str, Table] = {}
    grouped = _by_source(held_out)
    for source, clips in _by_source(training).items():
        if source not in grouped:
            continue
        fitted = probe_rows(model, clips, motion=motion, pairs=pairs, untrained=untrained)
        scored = probe_rows(model, grouped[source], motion=motion, pairs=pairs, untrained=untrained)
        if fitted is not None and scored is not None:
            tables[source] = score(fitted, scored, shuffled=baselines)
    return tables


def score(fitted: ProbeRows, scored: ProbeRows, *, shuffled: bool = True) -> Table:
    """R2 by feature and group: probes fitted on one set of rows and scored on another."""
    table: dict[str, Mapping[str, float]] = {}
    for name, features in fitted.features.items():
        probe = fit_probe(features, fitted.motions, fitted.clips)
        table[name] = by_group(
            r_squared(probe.predict(scored.features[name]), scored.motions, still=_STILL), fitted.groups
        )
    if shuffled:
        order = np.random.default_rng(0).permutation(len(fitted.motions))
        probe = fit_probe(fitted.features["latent"], fitted.motions[order], fitted.clips)
        scores = r_squared(probe.predict(scored.features["latent"]), scored.motions, still=_STILL)
        table["shuffled"] = by_group(scores, fitted.groups)
    return table


def probe_rows(
    model: LatentActionModel,
    clips: Sequence[LapaClip],
    *,
    motion: MotionOf = motion_of,
    pairs: int = 4096,
    untrained: LatentActionModel | None = None,
) -> ProbeRows | None:
    """Features and motions of about `pairs` pairs of `clips`; None when no clip shows its motion."""
    features: dict[str, list[Array]] = defaultdict(list)
    motions, numbers = [], []
    groups: Mapping[str, slice] = {}
    for number, (clip, steps) in enumerate(zip(clips, spread_steps(clips, pairs), strict=True)):
        known = motion(clip, steps) if len(steps) else None
        if known is None or not known.values.shape[1]:
            continue
        groups = known.groups
        latents = encode_clip(model, clip, steps)
        features["latent"].append(latents.latent)
        features["codes"].append(latents.codes)
        if untrained is not None:
            features["difference"].append(_differences(clip, steps))
            features["random"].append(encode_clip(untrained, clip, steps).latent)
        motions.append(known.values)
        numbers.append(np.full(len(steps), number))
    if not motions:
        return None
    joined = {name: np.concatenate(each) for name, each in features.items()}
    return ProbeRows(joined, np.concatenate(motions), np.concatenate(numbers), groups)


def _differences(clip: LapaClip, steps: NDArray[np.int64]) -> Array:
    """Grey difference of the two frames of each pair, small, (P, pixels)."""
    rows = []
    for step in steps:
        now, later = clip.frames_of([int(step), int(clip.later[step])]).astype(np.float32).mean(axis=3)
        rows.append(cv2.resize(later - now, _DIFFERENCE_PX, interpolation=cv2.INTER_AREA).ravel())
    return np.stack(rows)


def _untrained(model: LatentActionModel) -> LatentActionModel:
    """The same architecture with fresh weights and no bottleneck (a codebook of noise would say nothing)."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    bare = replace(model.config, quantizer=replace(model.config.quantizer, kind="none"), labels={})
    fresh = LatentActionModel(bare, tower=model.tower).to(model.device).eval()
    torch.set_rng_state(state)
    return fresh


def _by_source(clips: Sequence[LapaClip]) -> dict[str, list[LapaClip]]:
    grouped: dict[str, list[LapaClip]] = defaultdict(list)
    for clip in clips:
        if len(clip.pairs):
            grouped[clip.source].append(clip)
    if not grouped:
        raise InputError("no clip holds a good pair: nothing to probe")
    return dict(sorted(grouped.items()))
