"""Action spaces: rotations in every form that is stored, and chunks relative to the state.

Frames of reference: a rotation matrix `gripper_in_base` maps gripper coordinates to the base's. Every function takes
(..., n) arrays, computes in float64 and has an exact inverse. Rotation 6D is the first two columns of the matrix
(Zhou et al., arXiv 1812.07035); `euler_xyz` is roll, pitch, yaw: R = Rz(yaw) Ry(pitch) Rx(roll).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from storage.embodiment import Embodiment, Layout, Quantity
from storage.errors import SchemaError, UnknownNameError

Array = NDArray[Any]
ROTATIONS: dict[str, int] = {"rotation_6d": 6, "axis_angle": 3, "quaternion_wxyz": 4, "euler_xyz": 3}
"""The forms of a rotation and how many numbers each takes."""
_DIFFERENCES = ("position", "joint", "hand", "base")
"""Quantities that become relative by subtraction. Grippers stay absolute: they are commands, not poses."""


def matrix_from(values: Array, form: str) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) from `values` (..., n) in `form`."""
    values = np.asarray(values, np.float64)
    _check(values, form)
    if form == "rotation_6d":
        return _from_6d(values)
    flat = values.reshape(-1, values.shape[-1])
    if form == "axis_angle":
        rotation = Rotation.from_rotvec(flat)
    elif form == "quaternion_wxyz":
        rotation = Rotation.from_quat(flat[:, [1, 2, 3, 0]])
    else:
        rotation = Rotation.from_euler("xyz", flat)
    matrices: NDArray[np.float64] = rotation.as_matrix().reshape(*values.shape[:-1], 3, 3)
    return matrices


def matrix_to(matrices: Array, form: str) -> NDArray[np.float64]:
    """The inverse of `matrix_from`; quaternions come with w >= 0."""
    matrices = np.asarray(matrices, np.float64)
    if form not in ROTATIONS:
        raise UnknownNameError.among("rotation form", form, ROTATIONS)
    if form == "rotation_6d":
        return np.concatenate([matrices[..., :, 0], matrices[..., :, 1]], axis=-1)
    rotation = Rotation.from_matrix(matrices.reshape(-1, 3, 3))
    if form == "axis_angle":
        values = rotation.as_rotvec()
    elif form == "quaternion_wxyz":
        values = rotation.as_quat(canonical=True)[:, [3, 0, 1, 2]]
    else:
        values = rotation.as_euler("xyz")
    shaped: NDArray[np.float64] = values.reshape(*matrices.shape[:-2], ROTATIONS[form])
    return shaped


def convert_rotation(values: Array, source: str, target: str) -> NDArray[np.float64]:
    """Rotations (..., n) in form `source` as (..., m) in form `target`."""
    return matrix_to(matrix_from(values, source), target)


def _from_6d(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gram-Schmidt, so that any six numbers that are not degenerate give a rotation."""
    first, second = values[..., :3], values[..., 3:]
    x = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-12)
    second = second - (x * second).sum(axis=-1, keepdims=True) * x
    y = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), 1e-12)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _check(values: Array, form: str) -> None:
    if form not in ROTATIONS:
        raise UnknownNameError.among("rotation form", form, ROTATIONS)
    if values.ndim < 1 or values.shape[-1] != ROTATIONS[form]:
        raise SchemaError(f"{form} takes {ROTATIONS[form]} numbers; got an array of shape {values.shape}")


@dataclass(frozen=True, kw_only=True)
class RelativePart:
    """A slice of the action that is given relative to a slice of the state."""

    action: slice
    state: slice
    action_form: Quantity
    state_form: Quantity


def relative_parts(embodiment: Embodiment) -> tuple[RelativePart, ...]:
    """Which parts of a body's action have a state of the same name (and kind) to be relative to."""
    states = {part.name: (part, span) for part, span in embodiment.state}
    parts = []
    for part, span in embodiment.action:
        state, state_span = states.get(part.name, (None, slice(0)))
        if state is None:
            continue
        rotations = part.quantity in ROTATIONS and state.quantity in ROTATIONS
        if rotations or (part.quantity in _DIFFERENCES and (state.quantity, state.size) == (part.quantity, part.size)):
            parts.append(
                RelativePart(action=span, state=state_span, action_form=part.quantity, state_form=state.quantity)
            )
    return tuple(parts)


def to_relative(chunk: Array, state: Array, embodiment: Embodiment) -> NDArray[np.float64]:
    """Chunk (..., H, D) of absolute actions relative to the state (..., S) at its start.

    Positions and joints by difference; rotations as target_in_present = present_in_base^T target_in_base. Parts
    without a state of their name (deltas, grippers) stay as they are.
    """
    return _transformed(chunk, state, embodiment, forward=True)


def to_absolute(chunk: Array, state: Array, embodiment: Embodiment) -> NDArray[np.float64]:
    """The inverse of `to_relative`."""
    return _transformed(chunk, state, embodiment, forward=False)


def _transformed(chunk: Array, state: Array, embodiment: Embodiment, *, forward: bool) -> NDArray[np.float64]:
    _check_widths(chunk, state, embodiment)
    result = np.array(chunk, np.float64)
    for part in relative_parts(embodiment):
        present = np.asarray(state, np.float64)[..., None, part.state]
        values = result[..., part.action]
        if part.action_form not in ROTATIONS:
            result[..., part.action] = values - present if forward else values + present
            continue
        present_in_base = matrix_from(present, part.state_form)
        given = matrix_from(values, part.action_form)
        turned = np.swapaxes(present_in_base, -1, -2) @ given if forward else present_in_base @ given
        result[..., part.action] = matrix_to(turned, part.action_form)
    return result


def _check_widths(chunk: Array, state: Array, embodiment: Embodiment) -> None:
    if chunk.shape[-1] != embodiment.action.size or state.shape[-1] != embodiment.state.size:
        raise SchemaError(
            f"{embodiment.name!r} has actions of {embodiment.action.size} and states of {embodiment.state.size}"
            f" numbers; got a chunk of shape {chunk.shape} and a state of shape {state.shape}"
        )


def dimension_groups(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Dimensions by kind, for scores: position, rotation, joints, gripper, fingers, base, latent (no empty ones)."""
    kinds = {"position_delta": "position", "joint": "joints", "hand": "fingers"}
    groups: dict[str, list[int]] = {}
    for part, span in layout:
        rotation = part.quantity in ROTATIONS or part.quantity == "axis_angle_delta"
        kind = "rotation" if rotation else kinds.get(part.quantity, part.quantity)
        groups.setdefault(kind, []).extend(range(span.start, span.stop))
    return {kind: tuple(dimensions) for kind, dimensions in groups.items()}


def part_groups(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Dimensions by the name of their part: the groups that confidences are given for."""
    return {part.name: tuple(range(span.start, span.stop)) for part, span in layout}
