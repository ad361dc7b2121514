"""From overlapping windows to one label a step.

Every frame starts a window, so most steps are spoken of by many windows. What they say is averaged with weights that
follow from how far a step is from its window's frames; absolute numbers are put together from the motion between
neighbours (accurate, but it drifts) and the anchors (rough, but they do not), by least squares:

    minimise over x:  sum_j (x_j - a_j)^2 drift + sum_j (x_j+1 - x_j - v_j)^2

T label steps, N windows, K steps of a predicted chunk, L label steps that a chunk covers, D numbers of an action, M
members.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from idm.labelling.linear_filter import LinearFilter
from storage.embodiment import Layout
from storage.errors import SchemaError
from storage.training_reader.resampling import Chunk, chunk_of

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class WindowLabels:
    """What the windows of one clip say, on the label grid, in the units of the action. `start` (N,) is the label step
    where a window's chunk begins. `motion` (M, N, L, D), `scale` (N, L, D) the expected size of its error, `switch`
    (N, L, D) probabilities, `anchor` (N, D), `moved` (N, 2 P) the change of the state and the state itself,
    normalised."""

    start: NDArray[np.int64]
    motion: Array
    scale: Array
    switch: Array
    anchor: Array
    moved: Array


@dataclass(frozen=True, kw_only=True)
class Combination:
    """How windows are put together, fitted on held-out clips (see `idm.labelling.uncertainty`):
    `weights` (L, D) of a window's prediction by place in its chunk, `drift` (D,) how much an anchor counts against a
    step of motion. Plain means and 0.01 before that."""

    weights: Array
    drift: Array
    filter: LinearFilter | None = None

    @classmethod
    def plain(cls, steps: int, size: int) -> "Combination":
        return cls(weights=np.ones((steps, size)), drift=np.full(size, 0.01))

    def to_json(self) -> dict[str, Any]:
        linear = self.filter.to_json() if self.filter else None
        return {"weights": self.weights.tolist(), "drift": self.drift.tolist(), "filter": linear}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Combination":
        linear = record.get("filter")
        return cls(
            weights=np.asarray(record["weights"], float),
            drift=np.asarray(record["drift"], float),
            filter=LinearFilter.from_json(linear) if linear else None,
        )


@dataclass(frozen=True, kw_only=True)
class Combined:
    """Labels of one clip: `action` (T, D), `covered` (T,) which steps any window speaks of, and three measures of
    uncertainty (T, D): the expected error that the network states, the spread of the ensemble, the disagreement of
    overlapping windows."""

    action: Array
    covered: NDArray[np.bool_]
    stated: Array
    members: Array
    overlap: Array


def label_grid(*, chunk_steps: int, step_s: float, rate_hz: float, layout: Layout) -> Chunk | None:
    """How to bring chunks with steps of `step_s` seconds to a grid of `rate_hz`; None when they are on it already."""
    if abs(step_s * rate_hz - 1) < 1e-3:
        return None
    # Linear interpolation needs the step behind, so a chunk of K steps reaches K - 1 step lengths far.
    steps = max(int(np.floor((chunk_steps - 1) * step_s * rate_hz + 1e-6)), 1)
    return chunk_of(steps=steps, horizon_s=steps / rate_hz, rate_hz=1 / step_s, layout=layout, size=layout.size)


def regrid(chunks: Array, grid: Chunk | None) -> Array:
    """Chunks (..., K, D) on the label grid (..., L, D)."""
    if grid is None:
        return chunks
    length = chunks.shape[-2]
    if any(matrix[:, length:].any() for matrix in grid.matrices):
        raise SchemaError(f"a label grid that needs {grid.reach} steps cannot be made from chunks of {length}")
    out = np.empty((*chunks.shape[:-2], len(grid.needs), chunks.shape[-1]))
    for matrix, columns in zip(grid.matrices, grid.columns, strict=True):
        used = matrix[:, :length]
        out[..., columns] = np.einsum("lk,...kd->...ld", used, chunks[..., : used.shape[1], :][..., columns])
    return out


def combine(
    windows: WindowLabels, *, steps: int, absolute: NDArray[np.bool_], switch: NDArray[np.bool_], how: Combination
) -> Combined:
    """One label a step from everything that the windows say of it. Switches come as probabilities."""
    members, count, reach, size = windows.motion.shape
    mean = windows.motion.mean(axis=0)
    predictions = np.where(switch, windows.switch, mean)
    weights = np.broadcast_to(how.weights[:reach], (count, reach, size))
    action, overlap, covered = _averaged(predictions, windows.start, weights, steps)
    if absolute.any():
        path, spread = _paths(mean, windows, steps=steps, how=how)
        action, overlap = np.where(absolute, path, action), np.where(absolute, spread, overlap)
    stated, _, _ = _averaged(windows.scale, windows.start, weights, steps)
    spread_of_members = windows.motion.std(axis=0) if members > 1 else np.zeros_like(mean)
    between, _, _ = _averaged(spread_of_members, windows.start, weights, steps)
    if how.filter and count:
        filtered = how.filter.apply(mean, windows.moved, windows.start, steps)
        action = np.where(how.filter.used, filtered, action)
    uncertainty = np.sqrt(np.clip(action * (1 - action), 0, None))
    return Combined(
        action=action,
        covered=covered,
        stated=np.where(switch, uncertainty, stated),
        members=np.where(switch, uncertainty, between),
        overlap=overlap,
    )


def _averaged(values: Array, start: NDArray[np.int64], weights: Array, steps: int) -> tuple[Array, Array, Array]:
    """Weighted mean and deviation (T, D) over windows of `values` (N, L, D), and which steps any window covers (T,)."""
    _, reach, size = values.shape
    total, squares, mass = (np.zeros((steps, size)) for _ in range(3))
    for place in range(reach):
        at = start + place
        inside = (at >= 0) & (at < steps)
        w, v = weights[inside, place], values[inside, place]
        np.add.at(total, at[inside], w * v)
        np.add.at(squares, at[inside], w * v**2)
        np.add.at(mass, at[inside], w)
    covered = mass.max(axis=1, initial=0) > 0
    safe = np.where(mass > 0, mass, 1)
    mean = total / safe
    return mean, np.sqrt(np.clip(squares / safe - mean**2, 0, None)), covered


def _paths(mean: Array, windows: WindowLabels, *, steps: int, how: Combination) -> tuple[Array, Array]:
    """Absolute numbers (T, D) from motion and anchors, and the disagreement of the windows about the motion."""
    size = mean.shape[-1]
    weights = np.broadcast_to(how.weights[: mean.shape[1] - 1], mean[:, 1:].shape)
    velocity, disagreement, known = _averaged(np.diff(mean, axis=1), windows.start, weights, steps - 1)
    anchors, anchored = np.zeros((steps, size)), np.zeros(steps)
    inside = (windows.start >= 0) & (windows.start < steps)
    anchors[windows.start[inside]], anchored[windows.start[inside]] = windows.anchor[inside], 1.0
    path = np.empty((steps, size))
    for d in range(size):
        path[:, d] = _solved(velocity[:, d], known, anchors[:, d], anchored * how.drift[d])
    spread = np.concatenate([disagreement, disagreement[-1:]]) if len(disagreement) else np.zeros((steps, size))
    return path, spread


def _solved(velocity: Array, known: NDArray[np.bool_], anchors: Array, strength: Array) -> Array:
    """The least squares of the module's formula; steps that nothing is known of are held by a vanishing smoothness."""
    steps = len(anchors)
    link = np.where(known, 1.0, 1e-9)
    diagonal: Array = strength + 1e-12
    diagonal[:-1] += link
    diagonal[1:] += link
    pull: Array = link * velocity
    right: Array = strength * anchors
    right[:-1] = right[:-1] - pull
    right[1:] = right[1:] + pull
    band = np.zeros((2, steps))
    band[1], band[0, 1:] = diagonal, -link
    solution: Array = solveh_banded(band, right)
    return solution
