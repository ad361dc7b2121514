"""Batches of pairs for training: a keyed draw over sources, and a few labelled pairs beside it.

Batch number n of a run is a function of (seed, n, process) alone, so a resumed run sees what it would have seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.data_loader import numbered_batches
from groot.fit import Position
from lapa.fitting.clips import LapaClip
from lapa.fitting.targets import Motion, motion_of
from lapa.fitting.windows import PairReader
from storage.errors import ConfigError, InputError
from storage.ids import content_id

Batch = dict[str, Any]
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """`weights` by source (see `Clip.source`; 1 by default): its share of the pairs in a batch, whatever its size.

    `labelled_share` of all pairs of a source with state may be seen with its true motion, `label_batch` of them in each
    batch; `label_parts` limits the motion of an embodiment to some parts of its state. `labelled_shares` sets the share
    of some embodiments, and then every embodiment gives as many labelled pairs. The motion of the episodes
    `unlabelled`, by id, is never seen, whatever state they have.
    """

    batch: int = 48
    weights: Mapping[str, float] = field(default_factory=dict)
    labelled_share: float = 0.0
    label_batch: int = 16
    labelled_shares: Mapping[str, float] = field(default_factory=dict)
    label_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 2 or self.label_batch < 1 or not 0 <= self.labelled_share <= 1:
            raise ConfigError(
                "expected batch >= 2, label_batch >= 1, labelled_share in 0..1;"
                f" got {self.batch}, {self.label_batch}, {self.labelled_share}"
            )
        if any(not 0 <= share <= 1 for share in self.labelled_shares.values()):
            raise ConfigError(f"labelled_shares lie in 0..1; got {dict(self.labelled_shares)}")
        if any(weight < 0 for weight in self.weights.values()):
            raise ConfigError(f"weights of sources are 0 or more; got {dict(self.weights)}")


@dataclass(frozen=True)
class _Pool:
    """Pairs of one source: (clip, step) rows."""

    rows: Rows
    weight: float


class PairBatches:
    """The endless stream of batches over the pairs of `readers` (a `groot.fit.BatchSource`), read by `workers`
    processes ahead of whoever computes (0: in this one).

    A batch holds "now" and "later" (B, H, W, 3) uint8; "mask" (B, H, W) where masks are known; with labels also
    "label_now", "label_later", and for each embodiment "motion/<name>" (L, A) float32, scaled to unit variance, NaN for
    the other embodiments' rows. Raises InputError when there is nothing to learn from.
    """

    def __init__(self, readers: Sequence[PairReader], config: BatchConfig, *, workers: int = 0) -> None:
        self.readers, self.config, self.workers = tuple(readers), config, workers
        self.clips = [clip for reader in readers for clip in reader.clips]
        self._first_clip = np.cumsum([0, *(len(reader.clips) for reader in readers)])
        self.pools = self._pools()
        nothing = LabelledPairs.none()
        labelled = config.labelled_share or any(config.labelled_shares.values())
        self.labelled = LabelledPairs.drawn(self.clips, self._rows(), config) if labelled else nothing

    @property
    def label_sizes(self) -> dict[str, int]:
        """Numbers of the motion of each embodiment that labels come from."""
        return {name: motions.shape[1] for name, motions in sorted(self.labelled.motions.items())}

    def __call__(self, position: Position) -> Iterator[Batch]:
        return numbered_batches(_Numbered(self, position.process), first=position.step, workers=self.workers)

    def batch(self, number: int, process: int = 0) -> Batch:
        """Batch `number` of a process."""
        return self._batch(np.random.default_rng(int(content_id(self.config.seed, number, process)[:15], 16)))

    def _rows(self) -> Rows:
        return np.concatenate([pool.rows for pool in self.pools])

    def _pools(self) -> list[_Pool]:
        by_source: dict[str, list[Rows]] = {}
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

    def _batch(self, random: np.random.Generator) -> Batch:
        weights = np.array([pool.weight for pool in self.pools])
        counts = random.multinomial(self.config.batch, weights / weights.sum())
        rows = np.concatenate(
            [pool.rows[random.integers(len(pool.rows), size=n)] for pool, n in zip(self.pools, counts, strict=True)]
        )
        batch = self._read(rows)
        if len(self.labelled.rows):
            picked = self._labelled_places(random)
            seen = self._read(self.labelled.rows[picked])
            batch |= {"label_now": seen["now"], "label_later": seen["later"]}
            batch |= {f"motion/{name}": motions[picked] for name, motions in self.labelled.motions.items()}
        return batch

    def _labelled_places(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Which labelled pairs a batch sees: any of them, or as many of each embodiment."""
        size = self.config.label_batch
        if not self.config.labelled_shares:
            return random.integers(len(self.labelled.rows), size=size)
        groups = self.labelled.groups
        chosen = random.integers(len(groups), size=size)
        return np.array([groups[group][random.integers(len(groups[group]))] for group in chosen])

    def _read(self, rows: Rows) -> Batch:
        """The pairs of `rows`, in their order, whichever reader they come from."""
        reader_of = np.searchsorted(self._first_clip, rows[:, 0], side="right") - 1
        batch: Batch = {}
        for number in np.unique(reader_of):
            mine = reader_of == number
            part = self.readers[number].read(rows[mine] - (self._first_clip[number], 0))
            for name, values in part.items():
                if name not in batch:
                    batch[name] = np.zeros((len(rows), *values.shape[1:]), values.dtype)
                batch[name][mine] = values
        return batch


class _Numbered:
    """Batches of one process by number, for loader processes too."""

    def __init__(self, batches: PairBatches, process: int) -> None:
        self._batches, self._process = batches, process

    def __call__(self, number: int) -> Batch:
        return self._batches.batch(number, self._process)


@dataclass(frozen=True)
class LabelledPairs:
    """The few pairs whose motion may be seen: `rows` (L, 2) of clip and step, and by embodiment their motion (L, A),
    scaled by its spread there, NaN for pairs of other embodiments."""

    rows: Rows
    motions: Mapping[str, NDArray[np.float32]]

    @cached_property
    def groups(self) -> list[NDArray[np.int64]]:
        """By embodiment, which of the pairs show its motion."""
        return [np.flatnonzero(np.isfinite(each).all(axis=1)) for each in self.motions.values()]

    @classmethod
    def none(cls) -> "LabelledPairs":
        return cls(np.zeros((0, 2), np.int64), {})

    @classmethod
    def drawn(cls, clips: Sequence[LapaClip], rows: Rows, config: BatchConfig) -> "LabelledPairs":
        """`config.labelled_share` of the `rows` of clips with state; raises InputError when there are none."""
        known = [place for place, clip in enumerate(clips) if _motion(clip, np.zeros(1, np.int64), config) is not None]
        if not known:
            raise InputError("labelled_share is set and no episode has a state that shows its motion")
        rows = rows[np.isin(rows[:, 0], known)]
        random = np.random.default_rng(int(content_id(config.seed, "labelled")[:15], 16))
        if not config.labelled_shares:
            chosen = _few(rows, config.labelled_share, random)
        else:
            named = np.array([clip.episode.embodiment for clip in clips])[rows[:, 0]]
            chosen = np.concatenate(
                [
                    _few(rows[named == name], config.labelled_shares.get(name, config.labelled_share), random)
                    for name in np.unique(named)
                ]
            )
        return cls(chosen, _scaled_motions(clips, chosen, config))


def _few(rows: Rows, share: float, random: np.random.Generator) -> Rows:
    """A `share` of the rows, at least one where it is not 0."""
    count = max(1, round(share * len(rows))) if share else 0
    few: Rows = rows[random.choice(len(rows), count, replace=False)]
    return few


def _scaled_motions(clips: Sequence[LapaClip], rows: Rows, config: BatchConfig) -> dict[str, NDArray[np.float32]]:
    """Unit variance over the labelled pairs of each embodiment; what does not move counts nothing."""
    scaled: dict[str, NDArray[np.float32]] = {}
    for place in np.unique(rows[:, 0]):
        clip, mine = clips[place], rows[:, 0] == place
        motion = _motion(clip, rows[mine, 1], config)
        assert motion is not None
        name = clip.episode.embodiment
        if name not in scaled:
            scaled[name] = np.full((len(rows), motion.values.shape[1]), np.nan, np.float32)
        scaled[name][mine] = motion.values
    for motions in scaled.values():
        seen = np.isfinite(motions).all(axis=1)
        spread = motions[seen].std(axis=0) if seen.sum() > 1 else np.zeros(motions.shape[1], np.float32)
        motions *= np.where(spread > 1e-4, 1 / np.maximum(spread, 1e-4), 0.0).astype(np.float32)
    return scaled


def _motion(clip: LapaClip, steps: NDArray[np.int64], config: BatchConfig) -> Motion | None:
    if clip.episode.episode_id in config.unlabelled:
        return None
    motion = motion_of(clip, steps, parts=config.label_parts.get(clip.episode.embodiment, ()))
    return motion if motion is not None and motion.values.shape[1] else None
