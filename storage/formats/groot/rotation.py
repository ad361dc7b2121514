"""Rotations as six numbers: GR00T takes the first two ROWS of the matrix, our own embodiments hold its first two
COLUMNS (Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", section 4)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rows_of_columns(columns: NDArray[Any]) -> NDArray[np.float64]:
    """(N, 6) first two columns, one after the other -> (N, 6) first two rows, of the same orthogonal matrix."""
    return rows_of_matrix(np.swapaxes(matrix_of_rows(np.asarray(columns, np.float64)), 1, 2))


def matrix_of_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 6) first two rows -> matrices (N, 3, 3), made orthogonal by Gram-Schmidt."""
    first = _unit(rows[:, :3])
    second = rows[:, 3:] - (first * rows[:, 3:]).sum(axis=1, keepdims=True) * first
    second = _unit(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def rows_of_matrix(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) -> (N, 6), the first two rows one after the other."""
    return np.ascontiguousarray(matrices[:, :2]).reshape(len(matrices), 6)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.where(length > 0, length, 1.0)
    return unit
