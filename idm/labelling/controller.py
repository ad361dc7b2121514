"""How a body answers its commands: a small network, fitted on recorded states and commands, and its errors.

A controller follows commands late, and one number's commands move the others. With that known, commands can be held to
the path that is seen in the pictures (see `idm.labelling.commands_on_path`). T steps, P numbers of the pose that the
commands move, D numbers of an action, M of them that are held to the path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Embodiment

Array = NDArray[Any]
_MOVED_BY: Mapping[str, str] = {"position_delta": "position", "axis_angle_delta": "rotation_6d"}


@dataclass(frozen=True, kw_only=True)
class Controller:
    """`pose` (P,) are places in the state, `commands` (M,) places in the action. A step of the pose is answered from
    Q = 2 P + 2 D inputs (see `answer_inputs`) by two layers of H units: `weights_1` (H, Q), `bias_1` (H,), `weights_2`
    (H, H), `bias_2` (H,), `weights_3` (P, H), `bias_3` (P,), in the units of state and action. `least` and `most` (M,)
    are the ends of the commands in the recordings. Errors on clips that it was not fitted on: `pose_error` (P,) of the
    pose that a network sees, `command_error` (M,) of labels alone, `answer_error` (P,) of an answer."""

    pose: NDArray[np.int64]
    commands: NDArray[np.int64]
    weights_1: Array
    bias_1: Array
    weights_2: Array
    bias_2: Array
    weights_3: Array
    bias_3: Array
    least: Array
    most: Array
    pose_error: Array
    command_error: Array
    answer_error: Array

    def answer(self, inputs: Array) -> Array:
        """How far the pose moves in the next step, (T, P), for `inputs` (T, Q)."""
        first, _ = _silu(inputs @ self.weights_1.T + self.bias_1)
        second, _ = _silu(first @ self.weights_2.T + self.bias_2)
        moved: Array = second @ self.weights_3.T + self.bias_3
        return moved

    def slopes(self, inputs: Array) -> Array:
        """Derivatives (T, P, Q) of `answer` by the inputs. In single precision, which is enough for a direction."""
        first, slope_1 = _silu(inputs @ self.weights_1.T + self.bias_1)
        _, slope_2 = _silu(first @ self.weights_2.T + self.bias_2)
        weights = (self.weights_1, self.weights_2, self.weights_3, slope_1, slope_2)
        one, two, three, slope_1, slope_2 = (each.astype(np.float32) for each in weights)
        slopes: Array = (three * slope_2[:, None, :]) @ two
        slopes = (slopes * slope_1[:, None, :]) @ one
        return slopes.astype(float)

    def arrays(self) -> dict[str, Array]:
        """By name, for a file; `of_arrays` is the way back."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> "Controller":
        whole = ("pose", "commands")
        return cls(**{name: np.asarray(rows, np.int64 if name in whole else float) for name, rows in arrays.items()})


def answer_inputs(poses: Array, actions: Array) -> Array:
    """Inputs (T - 2, Q) of the steps 1 to T - 2: the pose, how far it just moved, the action now and the one before."""
    moved = np.diff(poses, axis=0)
    return np.concatenate([poses[1:-1], moved[:-1], actions[1:-1], actions[:-2]], axis=1)


def moved_pose(embodiment: Embodiment) -> NDArray[np.int64]:
    """Places (P,) in the state that the commands of `embodiment` move; empty where they do not change a hand's pose,
    or the state does not hold it."""
    wanted = {_MOVED_BY[part.quantity] for part, _ in embodiment.action if part.quantity in _MOVED_BY}
    there = {part.quantity for part, _ in embodiment.state}
    if not wanted or not wanted <= there:
        return np.empty(0, np.int64)
    return np.concatenate([np.r_[span] for part, span in embodiment.state if part.quantity in wanted])


def _silu(values: Array) -> tuple[Array, Array]:
    """x / (1 + exp(-x)) and its derivative."""
    share = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return values * share, share * (1 + values * (1 - share))
