"""Commands from motion: a linear filter over the windows around a step, fitted on held-out clips.

Two frames show how far a body moved, not what it was told: a controller follows its commands late and smoothly.
Across the windows before and after a step the command can be read off all the same; for a linear controller a linear
filter does it exactly. It stands in for the plain mean of overlapping windows wherever numbers are deltas (ours; on
true poses of a simulated arm the mean of overlaps explains 0.86 of the variance of its commands, the filter 0.93). T
steps, N windows, K steps of a chunk, D numbers of an action, P numbers of a state, O = 2 reach + 1 windows, Q inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_BLOCK_STEPS = 2048
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class LinearFilter:
    """`weights` (Q + 1, D), the last row a constant; `scale` (Q,) of the inputs. Numbers that are not `used` (D,)
    keep their plain mean."""

    reach: int
    weights: Array
    scale: Array
    used: NDArray[np.bool_]

    def apply(self, predictions: Array, moved: Array, start: NDArray[np.int64], steps: int) -> Array:
        """Filtered numbers (T, D) from what windows that begin at `start` (N,) say: (N, K, D) and (N, P). Block by
        block, for the inputs of a long clip are many times what is said."""
        filtered = np.empty((steps, self.weights.shape[1]))
        for begin in range(0, steps, _BLOCK_STEPS):
            span = range(begin, min(begin + _BLOCK_STEPS, steps))
            inputs = filter_inputs(predictions, moved, start, at=span, reach=self.reach)
            filtered[span.start : span.stop] = (inputs / self.scale) @ self.weights[:-1] + self.weights[-1]
        return filtered

    def to_json(self) -> dict[str, Any]:
        return {
            "reach": self.reach,
            "weights": np.round(self.weights, 7).tolist(),
            "scale": np.round(self.scale, 9).tolist(),
            "used": self.used.tolist(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "LinearFilter":
        return cls(
            reach=record["reach"],
            weights=np.asarray(record["weights"], float),
            scale=np.asarray(record["scale"], float),
            used=np.asarray(record["used"], bool),
        )


def filter_inputs(predictions: Array, moved: Array, start: NDArray[np.int64], *, at: range, reach: int) -> Array:
    """Inputs (T, Q) of the filter at the steps `at`: the predictions and the motion of the windows that begin `reach`
    steps before each step to `reach` steps behind it; where there is none, of the nearest one."""
    rows = np.concatenate([predictions.reshape(len(predictions), -1), moved], axis=1)
    wanted = np.asarray(at)[:, None] + np.arange(-reach, reach + 1)
    right = np.clip(np.searchsorted(start, wanted), 0, len(start) - 1)
    left = np.clip(right - 1, 0, len(start) - 1)
    nearest = np.where(np.abs(start[left] - wanted) <= np.abs(start[right] - wanted), left, right)
    inputs: Array = rows[nearest].reshape(len(at), -1)
    return inputs


def fit_filter(clips: Sequence[tuple[Array, Array]], *, used: NDArray[np.bool_], reach: int) -> LinearFilter:
    """Ridge regression of true actions (T, D) on inputs (T, Q), clip by clip; its strength, number by number, by
    leaving out every second clip."""
    everything = np.concatenate([inputs for inputs, _ in clips])
    scale = np.maximum(everything.std(axis=0), 1e-9)
    halves = (clips[::2], clips[1::2])
    best = np.full(len(used), len(_STRENGTHS) - 1)
    if all(halves):
        errors = [
            np.add(*(_errors(_ridge(half, scale, strength), other, scale) for half, other in (halves, halves[::-1])))
            for strength in _STRENGTHS
        ]
        best = np.argmin(errors, axis=0)
    fitted = {place: _ridge(clips, scale, _STRENGTHS[place]) for place in set(best[used].tolist())}
    weights = np.zeros((len(scale) + 1, len(used)))
    for d in np.flatnonzero(used):
        weights[:, d] = fitted[int(best[d])][:, d]
    return LinearFilter(reach=reach, weights=weights, scale=scale, used=used)


def _ridge(clips: Sequence[tuple[Array, Array]], scale: Array, strength: float) -> Array:
    inputs = np.concatenate([inputs for inputs, _ in clips]) / scale
    truth = np.concatenate([truth for _, truth in clips])
    mean, centre = inputs.mean(axis=0), truth.mean(axis=0)
    centred = inputs - mean
    gram = centred.T @ centred + strength * len(centred) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (truth - centre))
    ridge: Array = np.concatenate([weights, (centre - mean @ weights)[None]])
    return ridge


def _errors(weights: Array, clips: Sequence[tuple[Array, Array]], scale: Array) -> Array:
    """Squared error of each number (D,)."""
    inputs, truth = (np.concatenate(part) for part in zip(*clips, strict=True))
    squares: Array = (((inputs / scale) @ weights[:-1] + weights[-1] - truth) ** 2).mean(axis=0)
    return squares
