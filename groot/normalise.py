"""Numbers to and from the range that a network likes, per dimension and reversible.

Three methods, all used in the field (GR00T N1, arXiv 2503.14734, appendix F: min-max): "min_max" maps the extremes to
-1 and 1, "quantile" does so with the 1 % and 99 % quantiles, "mean_std" gives mean 0 and deviation 1. A dimension that
never changes maps to 0 and comes back as its constant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError, UnknownNameError
from storage.statistics import Statistics

Method = Literal["min_max", "mean_std", "quantile"]
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True)
class Normaliser:
    """x -> (x - offset) / scale, dimension by dimension: arrays (D,), or (H, D) for one per step of a chunk."""

    offset: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.offset.shape != self.scale.shape or not (np.isfinite(self.offset).all() and (self.scale > 0).all()):
            raise SchemaError(
                f"a normaliser wants a finite offset and a positive scale of one shape; got {self.offset.shape} and"
                f" {self.scale.shape}, smallest scale {self.scale.min() if self.scale.size else 'none'}"
            )

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Normalised `values`; computed in float64, returned in the type that came."""
        return ((values.astype(np.float64) - self.offset) / self.scale).astype(values.dtype)

    def invert(self, values: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `apply`."""
        return (values.astype(np.float64) * self.scale + self.offset).astype(values.dtype)

    def to_json(self) -> dict[str, Any]:
        return {"offset": self.offset.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Normaliser":
        return cls(offset=np.asarray(record["offset"], np.float64), scale=np.asarray(record["scale"], np.float64))

    @classmethod
    def of(cls, statistics: Statistics, method: Method) -> "Normaliser":
        """From the statistics of a data set."""
        low, high = statistics.min, statistics.max
        if _known(method) == "quantile":
            low, high = statistics.q01, statistics.q99
        elif method == "mean_std":
            low, high = statistics.mean - statistics.std, statistics.mean + statistics.std
        # A dimension that is constant between its quantiles but moves outside of them keeps its full range.
        flat = (high - low) < _SMALLEST_SPREAD
        low, high = np.where(flat, statistics.min, low), np.where(flat, statistics.max, high)
        return cls.between(low, high)

    @classmethod
    def between(cls, low: NDArray[Any], high: NDArray[Any]) -> "Normaliser":
        """Maps `low` to -1 and `high` to 1; where they are equal, that value to 0."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        half = (high - low) / 2
        return cls(offset=(low + high) / 2, scale=np.where(half < _SMALLEST_SPREAD, 1.0, half))

    @classmethod
    def fitted(cls, rows: NDArray[Any], method: Method) -> "Normaliser":
        """From the rows (N, ...) themselves, for example relative chunks (N, H, D), whose statistics nobody stores."""
        values = np.asarray(rows, np.float64)
        if not len(values) or not np.isfinite(values).all():
            raise SchemaError(f"to fit a normaliser takes rows without NaN; got {len(values)} rows")
        if _known(method) == "mean_std":
            mean, std = values.mean(axis=0), values.std(axis=0)
            return cls.between(mean - std, mean + std)
        low, high = values.min(axis=0), values.max(axis=0)
        if method == "quantile":
            q01, q99 = np.quantile(values, [0.01, 0.99], axis=0)
            flat = (q99 - q01) < _SMALLEST_SPREAD
            low, high = np.where(flat, low, q01), np.where(flat, high, q99)
        return cls.between(low, high)


def _known(method: str) -> Method:
    for known in get_args(Method):
        if method == known:
            return known  # type: ignore[no-any-return]
    raise UnknownNameError.among("normalisation", method, get_args(Method))


def joined(parts: Sequence[tuple[slice, Normaliser]], size: int) -> Normaliser:
    """One normaliser of `size` numbers from those of its slices; what no slice covers stays as it is."""
    offset, scale = np.zeros(size), np.ones(size)
    for span, part in parts:
        offset[span], scale[span] = part.offset, part.scale
    return Normaliser(offset=offset, scale=scale)
