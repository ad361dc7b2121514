"""Action chunks in seconds: what a chunk of H steps over a given time is, in terms of the steps that were recorded.

Time stands on the grid of the source, so the answer is one constant matrix for each way to resample, (H, K) over the K
recorded steps that the horizon touches. Which way is right depends on what a number means (ours):

    linear  positions and joint targets: the value at the time
    sum     deltas: what the recorded deltas add up to over the time of one new step
    hold    everything else, where values in between mean nothing: grippers, rotations, latent actions
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Layout

_WAY_OF_QUANTITY: Mapping[str, str] = {
    "position": "linear",
    "joint": "linear",
    "hand": "linear",
    "position_delta": "sum",
    "axis_angle_delta": "sum",
}
_EPSILON = 1e-6


@dataclass(frozen=True)
class Chunk:
    """How to take one action chunk from the K = `reach` recorded rows from the present one on.

    Step h stands on rows `begins`[h] up to, without it, `needs`[h]; both are (H,). `matrices`, (H, K) each, are empty
    for a chunk that is the recorded rows themselves; `columns` says which dimensions each of them is for.
    """

    reach: int
    begins: NDArray[np.int64]
    needs: NDArray[np.int64]
    matrices: tuple[NDArray[np.float64], ...] = ()
    columns: tuple[NDArray[np.int64], ...] = ()

    def apply(self, rows_KD: NDArray[np.float32]) -> NDArray[np.float32]:
        """The chunk (H, D) of rows (K, D)."""
        if not self.matrices:
            return rows_KD
        out = np.empty((len(self.needs), rows_KD.shape[1]), dtype=np.float32)
        for matrix, columns in zip(self.matrices, self.columns, strict=True):
            out[:, columns] = matrix @ rows_KD[:, columns]
        return out


def chunk_of(*, steps: int, horizon_s: float | None, rate_hz: float, layout: Layout | None, size: int) -> Chunk:
    """The chunk of `steps` steps over `horizon_s` seconds (None: at the source's own rate), for vectors of `size`
    numbers. Without a layout every number is held."""
    stride = 1.0 if horizon_s is None else horizon_s * rate_hz / steps
    begins = np.arange(steps) * stride
    floors = np.floor(begins + _EPSILON).astype(np.int64)
    needs = np.ceil(begins + stride - _EPSILON).astype(np.int64)
    if abs(stride - 1.0) < _EPSILON:
        return Chunk(reach=steps, begins=floors, needs=needs)
    ways = _ways(layout, size)
    if "linear" in ways:
        needs = np.maximum(needs, floors + 1 + (begins - floors > _EPSILON))
    reach = math.ceil(begins[-1] + max(stride, 1.0) - _EPSILON) + 1
    chosen = sorted(set(ways))
    return Chunk(
        reach=reach,
        begins=floors,
        needs=needs,
        matrices=tuple(_MATRIX[way](begins, stride, reach) for way in chosen),
        columns=tuple(np.flatnonzero([way == each for each in ways]) for way in chosen),
    )


def resampled(
    rows_ND: NDArray[np.float32], *, rate_hz: float, wanted_hz: float, layout: Layout | None
) -> NDArray[np.float32]:
    """All rows (N, D) recorded at `rate_hz`, as the rows (M, D) at `wanted_hz` that fit into the same time."""
    count = math.floor(len(rows_ND) * wanted_hz / rate_hz + _EPSILON)
    chunk = chunk_of(steps=count, horizon_s=count / wanted_hz, rate_hz=rate_hz, layout=layout, size=rows_ND.shape[1])
    beyond = np.repeat(rows_ND[-1:], max(chunk.reach - len(rows_ND), 0), axis=0)
    return chunk.apply(np.concatenate([rows_ND, beyond])[: chunk.reach])


def _ways(layout: Layout | None, size: int) -> list[str]:
    if layout is None or layout.size != size:
        return ["hold"] * size
    return [_WAY_OF_QUANTITY.get(part.quantity, "hold") for part in layout.parts for _ in range(part.size)]


def _hold(begins: NDArray[np.float64], _stride: float, reach: int) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = np.eye(reach)[np.floor(begins + _EPSILON).astype(int)]
    return matrix


def _linear(begins: NDArray[np.float64], _stride: float, reach: int) -> NDArray[np.float64]:
    floor = np.floor(begins + _EPSILON).astype(int)
    share = np.maximum(begins - floor, 0.0)[:, None]
    behind = np.minimum(floor + 1, reach - 1)
    matrix: NDArray[np.float64] = (1 - share) * np.eye(reach)[floor] + share * np.eye(reach)[behind]
    return matrix


def _sum(begins: NDArray[np.float64], stride: float, reach: int) -> NDArray[np.float64]:
    """The share of each recorded step's time that lies in each new step."""
    edges = np.arange(reach)
    overlap = np.minimum(begins[:, None] + stride, edges + 1) - np.maximum(begins[:, None], edges)
    matrix: NDArray[np.float64] = np.maximum(overlap, 0.0)
    return matrix


_MATRIX = {"hold": _hold, "linear": _linear, "sum": _sum}
