"""Statistics that merge: each shard carries its own in its manifest; those of a data set follow without reading data.

Count, mean, standard deviation, minimum and maximum are exact up to rounding. Quantiles come from a summary: the exact
values of the shard at fixed ranks, spaced geometrically from both ends (..., 0.008, 0.01, 0.0125, ... 0.5, ...), so
that two neighbours are a quarter of the rank to the nearer end apart; q01 and q99 of a shard are exact. Merging weighs
the summaries by their counts: what is reported as the q-quantile of a merge has a true rank within an eighth of the
rank to the nearer end, plus 0.0006. So q01 of a whole data set lies between its true 0.8 % and 1.2 % quantiles. Each
further merge of merges adds the same again: merge all at once.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptFileError, SchemaError

_TAIL = 0.01 * 1.25 ** np.arange(-10, 18)
RANKS: NDArray[np.float64] = np.concatenate([[0.0], _TAIL, [0.5], 1 - _TAIL[::-1], [1.0]])
"""The ranks (0..1) at which a summary holds values."""
_ROWS_AT_ONCE = 1 << 10

_SUMMARISED = ("state", "action/", "label/confidence/", "label/interval/", "foreign/")


def is_summarised(field: str) -> bool:
    """Whether statistics are kept of an array."""
    return field.startswith(_SUMMARISED)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of one vector of D numbers over `count` steps. `sum_of_squares` is of differences from the mean;
    `summary` (ranks, D) float32 holds the values at RANKS. Arrays are float64 otherwise."""

    count: int
    mean: NDArray[np.float64]
    sum_of_squares: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    summary: NDArray[np.float32]

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of the population."""
        deviation: NDArray[np.float64] = np.sqrt(self.sum_of_squares / self.count)
        return deviation

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which dimensions never change: nothing can be normalised by their range."""
        same: NDArray[np.bool_] = self.min == self.max
        return same

    @property
    def q01(self) -> NDArray[np.float64]:
        return self.quantile(0.01)

    @property
    def q99(self) -> NDArray[np.float64]:
        return self.quantile(0.99)

    def quantile(self, rank: float) -> NDArray[np.float64]:
        """The value (D,) at `rank` in 0..1, interpolated between the values of the summary."""
        columns = [np.interp(rank, RANKS, column) for column in self.summary.T.astype(np.float64)]
        return np.clip(np.asarray(columns, dtype=np.float64), self.min, self.max)

    def to_json(self) -> dict[str, Any]:
        exact = {name: getattr(self, name).tolist() for name in ("mean", "sum_of_squares", "min", "max")}
        summary = base64.b64encode(self.summary.astype("<f4").tobytes()).decode()
        return {"count": self.count, **exact, "summary_float32_base64": summary}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Statistics":
        """The inverse of `to_json`; raises CorruptFileError."""
        try:
            values = np.frombuffer(base64.b64decode(record["summary_float32_base64"]), dtype="<f4")
            values = values.reshape(len(RANKS), len(record["mean"]))
            exact = {
                name: np.asarray(record[name], dtype=np.float64) for name in ("mean", "sum_of_squares", "min", "max")
            }
            return cls(count=record["count"], summary=values, **exact)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"statistics lack or have too much of {error}") from error


def summarise(rows: NDArray[Any], chosen: NDArray[np.bool_] | None = None) -> Statistics | None:
    """Statistics of `rows` (F, D), over the steps that are `chosen` (F,) and finite; None where there is none.

    Reads a mapped array piece by piece: memory is that of one column.
    """
    keep = _finite(rows) if chosen is None else chosen & _finite(rows)
    count = int(keep.sum())
    if not count:
        return None
    total = np.zeros(rows.shape[1])
    for part, mask in _pieces(rows, keep):
        total += part[mask].sum(axis=0, dtype=np.float64)
    mean = total / count
    squares = np.zeros(rows.shape[1])
    for part, mask in _pieces(rows, keep):
        squares += np.square(part[mask].astype(np.float64) - mean).sum(axis=0)
    summary = np.empty((len(RANKS), rows.shape[1]))
    for dimension in range(rows.shape[1]):
        summary[:, dimension] = _at_ranks(np.sort(rows[keep, dimension]))
    return Statistics(
        count=count,
        mean=mean,
        sum_of_squares=squares,
        min=summary[0].copy(),
        max=summary[-1].copy(),
        summary=summary.astype(np.float32),
    )


def merge(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of everything that `parts` are of. All at once: see the module on what a merge of merges costs."""
    widths = {len(part.mean) for part in parts}
    if len(widths) != 1:
        raise SchemaError(
            f"statistics to merge need one common width, and at least one part; got widths {sorted(widths)}"
        )
    if len(parts) == 1:
        return parts[0]
    counts = np.array([part.count for part in parts], dtype=np.float64)
    means = np.stack([part.mean for part in parts])
    mean = counts @ means / counts.sum()
    within = np.sum([part.sum_of_squares for part in parts], axis=0)
    return Statistics(
        count=int(counts.sum()),
        mean=mean,
        sum_of_squares=within + counts @ np.square(means - mean),
        min=np.min([part.min for part in parts], axis=0),
        max=np.max([part.max for part in parts], axis=0),
        summary=_merged_summary(np.stack([part.summary for part in parts]), counts),
    )


def _finite(rows: NDArray[Any]) -> NDArray[np.bool_]:
    keep = np.ones(len(rows), dtype=bool)
    if rows.dtype.kind == "f":
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            piece = slice(start, start + _ROWS_AT_ONCE)
            keep[piece] = np.isfinite(rows[piece]).all(axis=1)
    return keep


def _pieces(rows: NDArray[Any], keep: NDArray[np.bool_]) -> Any:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[start : start + _ROWS_AT_ONCE], keep[start : start + _ROWS_AT_ONCE]


def _at_ranks(ordered: NDArray[Any]) -> NDArray[np.float64]:
    """Values of a sorted column at RANKS, interpolated between neighbours."""
    position = RANKS * (len(ordered) - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, len(ordered) - 1)
    share = position - below
    values: NDArray[np.float64] = (1 - share) * ordered[below].astype(np.float64) + share * ordered[above]
    return values


def _merged_summary(summaries_NRD: NDArray[np.float32], counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Half of the mass between two ranks lies at either value; the merge is the weighted sum of those masses."""
    gaps = np.diff(RANKS)
    mass_of_rank = (np.concatenate([gaps, [0.0]]) + np.concatenate([[0.0], gaps])) / 2
    weights = np.outer(counts / counts.sum(), mass_of_rank).ravel()
    merged = np.empty(summaries_NRD.shape[1:], dtype=np.float32)
    for dimension in range(summaries_NRD.shape[2]):
        values = summaries_NRD[:, :, dimension].ravel()
        order = np.lexsort((weights, values))  # equal values by their weight: the order of the parts does not matter
        middle = np.cumsum(weights[order]) - weights[order] / 2
        merged[:, dimension] = np.interp(RANKS, middle, values[order])
    return merged
