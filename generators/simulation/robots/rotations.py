"""Rotations and rigid poses as 3x3 and 4x4 float64 matrices; compiled, because attempts call them at every step."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from generators.simulation.task.specification import Pose

Vector = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function` as machine code, cached on disk, with its types kept."""
    made: Function = njit(cache=True)(function)
    return made


@compiled
def rotation_vector(rotation: Vector) -> Vector:
    """The rotation vector (3,) in rad, of length at most pi, of a rotation matrix (3, 3)."""
    axis = np.empty(3)
    axis[0] = 0.5 * (rotation[2, 1] - rotation[1, 2])
    axis[1] = 0.5 * (rotation[0, 2] - rotation[2, 0])
    axis[2] = 0.5 * (rotation[1, 0] - rotation[0, 1])
    sine = np.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2)
    cosine = 0.5 * (rotation[0, 0] + rotation[1, 1] + rotation[2, 2] - 1.0)
    angle = np.arctan2(sine, cosine)
    if sine > 1e-6 * max(angle, 1e-6):
        for row in range(3):
            axis[row] *= angle / sine
        return axis
    if cosine > 0.0:
        return axis
    # Half a turn: the axis is the column of R + 1 with the longest diagonal entry.
    longest = 0
    for column in range(1, 3):
        if rotation[column, column] > rotation[longest, longest]:
            longest = column
    for row in range(3):
        axis[row] = rotation[row, longest] + (1.0 if row == longest else 0.0)
    scale: float = angle / np.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2)
    for row in range(3):
        axis[row] *= scale
    return axis


@compiled
def rotation_matrix(vector: Vector) -> Vector:
    """The rotation matrix (3, 3) of a rotation vector (3,) in rad (Rodrigues)."""
    angle = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if angle < 1e-12:
        first, second = 1.0, 0.5
    else:
        first, second = np.sin(angle) / angle, (1.0 - np.cos(angle)) / angle**2
    x, y, z = vector[0], vector[1], vector[2]
    matrix = np.empty((3, 3))
    matrix[0, 0] = 1.0 - second * (y * y + z * z)
    matrix[1, 1] = 1.0 - second * (x * x + z * z)
    matrix[2, 2] = 1.0 - second * (x * x + y * y)
    matrix[0, 1], matrix[1, 0] = second * x * y - first * z, second * x * y + first * z
    matrix[0, 2], matrix[2, 0] = second * x * z + first * y, second * x * z - first * y
    matrix[1, 2], matrix[2, 1] = second * y * z - first * x, second * y * z + first * x
    return matrix


@compiled
def inverse(pose: Vector) -> Vector:
    """The inverse of a rigid pose (4, 4)."""
    out = np.eye(4)
    for row in range(3):
        total = 0.0
        for column in range(3):
            out[row, column] = pose[column, row]
            total += pose[column, row] * pose[column, 3]
        out[row, 3] = -total
    return out


@compiled
def between(start: Vector, end: Vector) -> Vector:
    """Motion (6,) from one pose to another in the world: metres, then the rotation vector in rad."""
    motion = np.empty(6)
    turn = np.empty((3, 3))
    for row in range(3):
        motion[row] = end[row, 3] - start[row, 3]
        for column in range(3):
            total = 0.0
            for inner in range(3):
                total += end[row, inner] * start[column, inner]
            turn[row, column] = total
    motion[3:] = rotation_vector(turn)
    return motion


@compiled
def moved(pose: Vector, motion: Vector) -> Vector:
    """`pose` after a motion (6,) in the world, as `between` measures it."""
    out = pose.copy()
    turn = rotation_matrix(motion[3:])
    for row in range(3):
        out[row, 3] = pose[row, 3] + motion[row]
        for column in range(3):
            total = 0.0
            for inner in range(3):
                total += turn[row, inner] * pose[inner, column]
            out[row, column] = total
    return out


def distance(start: Pose, end: Pose) -> tuple[float, float]:
    """How far two poses are apart: metres, radians."""
    motion = between(start, end)
    return float(np.sqrt(motion[:3] @ motion[:3])), float(np.sqrt(motion[3:] @ motion[3:]))


def rotation_6d(rotation: Vector) -> Vector:
    """The first two columns of a rotation matrix (3, 3), one after the other: (6,)."""
    return np.ascontiguousarray(rotation[:, :2].T).reshape(6)
