"""Batches of pairs for training: a keyed draw over sources, and a few labelled pairs beside it.

Batch number n of a run is a function of (seed, n, process) alone, so a resumed run sees what it would have seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.fit import Position
from lapa.fitting.clips import Clip
from lapa.fitting.targets import Motion, motion_of
from storage.errors import ConfigError, InputError
from storage.ids import content_id

Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """`weights` by source (see `Clip.source`; 1 by default): its share of the pairs in a batch, whatever its size.

    `labelled_share` of all pairs of a source with state may be seen with its true motion, `label_batch` of them in each
    batch; `label_parts` limits the motion of an embodiment to some parts of its state.
    """

    batch: int = 48
    weights: Mapping[str, float] = field(default_factory=dict)
    labelled_share: float = 0.0
    label_batch: int = 16
    label_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 2 or self.label_batch < 1 or not 0 <= self.labelled_share <= 1:
            raise ConfigError(
                "expected batch >= 2, label_batch >= 1, labelled_share in 0..1;"
                f" got {self.batch}, {self.label_batch}, {self.labelled_share}"
            )
        if any(weight < 0 for weight in self.weights.values()):
            raise ConfigError(f"weights of sources are 0 or more; got {dict(self.weights)}")


@dataclass(frozen=True)
class _Pool:
    """Pairs of one source: (clip, step) rows."""

    rows: NDArray[np.int64]
    weight: float


class PairBatches:
    """The endless stream of batches over `clips` (a `groot.fit.BatchSource`).

    A batch holds "now" and "later" (B, H, W, 3) uint8; "mask" (B, H, W) where masks are known; with labels also
    "label_now", "label_later", and for each embodiment "motion/<name>" (L, A) float32, scaled to unit variance, NaN for
    the other embodiments' rows. Raises InputError when there is nothing to learn from.
    """

    def __init__(self, clips: Sequence[Clip], config: BatchConfig) -> None:
        self.clips, self.config = list(clips), config
        self.pools = self._pools()
        self.motions, self.labelled = self._labels() if config.labelled_share else ({}, np.zeros((0, 2), np.int64))

    @property
    def label_sizes(self) -> dict[str, int]:
        """Numbers of the motion of each embodiment that labels come from."""
        sizes = {self.clips[i].episode.embodiment: motion.values.shape[1] for i, motion in self.motions.items()}
        return dict(sorted(sizes.items()))

    def __call__(self, position: Position) -> Iterator[Batch]:
        step = position.step
        while True:
            seed = int(content_id(self.config.seed, step, position.process)[:15], 16)
            yield self._batch(np.random.default_rng(seed))
            step += 1

    def _pools(self) -> list[_Pool]:
        by_source: dict[str, list[NDArray[np.int64]]] = {}
        for place, clip in enumerate(self.clips):
            rows = np.stack([np.full(len(clip.pairs), place), clip.pairs], axis=1)
            by_source.setdefault(clip.source, []).append(rows)
        unknown = self.config.weights.keys() - by_source.keys()
        if unknown:
            raise ConfigError(f"weights name the sources {sorted(unknown)}; there are {sorted(by_source)}")
        pools = [
            _Pool(np.concatenate(rows), self.config.weights.get(source, 1.0)) for source, rows in by_source.items()
        ]
        pools = [pool for pool in pools if len(pool.rows) and pool.weight]
        if not pools:
            raise InputError(f"{len(self.clips)} clips hold no pair to learn from: every step is flagged or unweighted")
        return pools

    def _labels(self) -> tuple[dict[int, Motion], NDArray[np.int64]]:
        """Motions of the clips that have state, scaled by embodiment, and the rows whose motion may be seen."""
        motions: dict[int, Motion] = {}
        for place, clip in enumerate(self.clips):
            parts = self.config.label_parts.get(clip.episode.embodiment, ())
            every = np.where(clip.later >= 0, clip.later, 0)
            motion = motion_of(clip, np.arange(len(every)), parts=parts) if len(clip.pairs) else None
            if motion is not None and motion.values.shape[1]:
                motions[place] = motion
        if not motions:
            raise InputError("labelled_share is set and no episode has a state that shows its motion")
        rows = np.concatenate([pool.rows for pool in self.pools])
        rows = rows[np.isin(rows[:, 0], list(motions))]
        random = np.random.default_rng(int(content_id(self.config.seed, "labelled")[:15], 16))
        count = max(1, round(self.config.labelled_share * len(rows)))
        chosen = rows[random.choice(len(rows), count, replace=False)]
        return self._scaled(motions, chosen), chosen

    def _scaled(self, motions: dict[int, Motion], chosen: NDArray[np.int64]) -> dict[int, Motion]:
        """Unit variance over the labelled pairs of each embodiment; what does not move counts nothing."""
        scales: dict[str, NDArray[np.float32]] = {}
        for name in {self.clips[place].episode.embodiment for place in motions}:
            seen = [motions[i].values[t] for i, t in chosen if self.clips[i].episode.embodiment == name]
            spread = np.std(seen, axis=0) if len(seen) > 1 else np.zeros(1, np.float32)
            scales[name] = np.where(spread > 1e-4, 1 / np.maximum(spread, 1e-4), 0.0).astype(np.float32)
        return {
            place: Motion(motion.values * scales[self.clips[place].episode.embodiment], motion.groups)
            for place, motion in motions.items()
        }

    def _batch(self, random: np.random.Generator) -> Batch:
        weights = np.array([pool.weight for pool in self.pools])
        counts = random.multinomial(self.config.batch, weights / weights.sum())
        rows = np.concatenate(
            [pool.rows[random.integers(len(pool.rows), size=n)] for pool, n in zip(self.pools, counts, strict=True)]
        )
        batch: Batch = dict(zip(("now", "later"), self._frames(rows), strict=True))
        if any(clip.masks_of for clip in self.clips):
            batch["mask"] = np.stack([self._mask(int(i), int(t)) for i, t in rows])
        if len(self.labelled):
            picked = self.labelled[random.integers(len(self.labelled), size=self.config.label_batch)]
            batch["label_now"], batch["label_later"] = self._frames(picked)
            batch |= {f"motion/{name}": self._motion(picked, name, size) for name, size in self.label_sizes.items()}
        return batch

    def _frames(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        both = [self.clips[i].frames_of([t, int(self.clips[i].later[t])]) for i, t in rows]
        return np.stack([pair[0] for pair in both]), np.stack([pair[1] for pair in both])

    def _mask(self, place: int, step: int) -> NDArray[np.uint8]:
        clip = self.clips[place]
        if clip.masks_of is None:
            return np.zeros(clip.frames_of([step]).shape[1:3], np.uint8)
        both = clip.masks_of([step, int(clip.later[step])])
        either: NDArray[np.uint8] = np.maximum(both[0], both[1])
        return either

    def _motion(self, rows: NDArray[np.int64], name: str, size: int) -> NDArray[np.float32]:
        wanted = np.full((len(rows), size), np.nan, np.float32)
        for row, (i, t) in enumerate(rows):
            if self.clips[i].episode.embodiment == name:
                wanted[row] = self.motions[i].values[t]
        return wanted
