"""A shuffle without a list: a keyed permutation of 0..size-1 that is computed where it is needed.

A Feistel network (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002) on a grid of about
sqrt(size) x sqrt(size): each round shifts one coordinate by a keyed hash of the other, which can be undone and is
therefore a permutation of the grid. The few cells beyond `size` are walked on from until a cell below it comes.
"""

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 4
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def permute(places: NDArray[np.int64], *, size: int, key: int) -> NDArray[np.int64]:
    """Where each of `places` (n,), all in 0..size-1, goes under the permutation of `key` (any integer)."""
    assert size > 0
    rows = math.isqrt(size - 1) + 1
    columns = -(-size // rows)
    keys = _mix(np.uint64(key & _MASK) + np.arange(1, 2 * _ROUNDS + 1, dtype=np.uint64) * _GOLDEN)
    grid = (np.uint64(rows), np.uint64(columns))
    permuted = _once(places.astype(np.uint64), grid, keys)
    while (beyond := permuted >= size).any():
        permuted[beyond] = _once(permuted[beyond], grid, keys)
    return permuted.astype(np.int64)


def _once(cells: NDArray[np.uint64], grid: tuple[np.uint64, np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    rows, columns = grid
    row, column = np.divmod(cells, columns)
    for first, second in keys.reshape(-1, 2):
        row = (row + _mix(column ^ first) % rows) % rows
        column = (column + _mix(row ^ second) % columns) % columns
    moved: NDArray[np.uint64] = row * columns + column
    return moved


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of the input stirs every other."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed
