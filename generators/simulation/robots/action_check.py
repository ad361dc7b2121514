"""What an action means, read from the live controllers and compared with what the embodiment declares.

A task may bring controllers of its own (absolute targets, another scale, another frame). Stored under an embodiment
that says otherwise, its numbers would be wrong without a word; so what the environment does is read and must agree.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.simulation.robots.osc_actuation import OscActuation
from generators.simulation.robots.whole_body_poses import WholeBodyPoses
from generators.simulation.task.scene_poses import part_controller
from generators.simulation.task.specification import Actuation, Arm, Environment, SimulatedEmbodiment
from storage.embodiment import Part, embodiment_named
from storage.errors import ConfigError

_WORDS = {
    "position_delta": "moves of the end effector over a scale",
    "axis_angle_delta": "turns of the end effector over a scale",
    "position": "absolute positions in m",
    "axis_angle": "absolute rotation vectors in rad",
}


@dataclass(frozen=True, kw_only=True)
class LivePart:
    """A slice of the environment's action as the controller takes it: `quantity`, `unit` and `limit` as
    `storage.embodiment.Part` has them."""

    arm: str
    first: int
    size: int
    quantity: str
    unit: str = "1"
    limit: float = 1.0


def check_actions(environment: Environment, declared: SimulatedEmbodiment, actuation: Actuation) -> None:
    """Raise ConfigError unless the environment takes what the action of the embodiment declares."""
    if isinstance(actuation, OscActuation):
        check_osc_actions(environment, declared)
        return
    if isinstance(actuation, WholeBodyPoses) and actuation.frame != declared.frame:
        raise ConfigError(
            f"the IK controller takes poses in the {actuation.frame} frame (ik_input_ref_frame), embodiment"
            f" {declared.name!r} declares the {declared.frame} frame; change the controller, or give the task an"
            " embodiment of its own with that frame"
        )
    size, made = (
        embodiment_named(declared.name).action.size,
        len(actuation.record(np.zeros(environment.action_dim, np.float32))),
    )
    if made != size:
        raise ConfigError(
            f"the actuation of embodiment {declared.name!r} records {made} numbers an action; it declares {size}"
        )


def check_osc_actions(environment: Environment, declared: SimulatedEmbodiment) -> None:
    """Raise ConfigError unless arms under OSC_POSE take what the action of the embodiment declares.

    Compared are the kind of the action (deltas or absolute targets), its frame, its scale, the slices of arms and
    hands, and the size of the whole.
    """
    live = [part for arm in declared.arms for part in _live_parts(environment, arm, declared)]
    parts = {span.start: part for part, span in embodiment_named(declared.name).action}
    for one in live:
        _compare(one, parts.get(one.first), declared)
    size = embodiment_named(declared.name).action.size
    if environment.action_dim != size:
        raise ConfigError(
            f"the environment takes actions of {environment.action_dim} numbers, embodiment {declared.name!r} declares"
            f" {size}; give the task the embodiment of its robots, or declare one"
        )


def _live_parts(environment: Environment, arm: Arm, declared: SimulatedEmbodiment) -> list[LivePart]:
    controller = part_controller(environment, arm)
    robot = environment.robots[arm.robot]
    offset = sum(before.action_dim for before in environment.robots[: arm.robot])
    first, last = robot._action_split_indexes[arm.side]
    if last - first != 6:
        raise ConfigError(
            f"arm {arm.name!r} takes {last - first} numbers a step; expected the 6 of a pose under fixed impedance"
        )
    _check_frame(controller, arm, declared)
    absolute = controller.input_type == "absolute"
    metres, radians = (1.0, 1.0) if absolute else _scales(controller, arm)
    parts = [
        LivePart(
            arm=arm.name,
            first=offset + first,
            size=3,
            quantity="position" if absolute else "position_delta",
            unit="m" if absolute else "1",
            limit=metres,
        ),
        LivePart(
            arm=arm.name,
            first=offset + first + 3,
            size=3,
            quantity="axis_angle" if absolute else "axis_angle_delta",
            unit="rad" if absolute else "1",
            limit=radians,
        ),
    ]
    start, end = robot._action_split_indexes.get(f"{arm.side}_gripper", (0, 0))
    if end > start:
        parts.append(LivePart(arm=arm.name, first=offset + start, size=end - start, quantity="hand"))
    return parts


def _check_frame(controller: Any, arm: Arm, declared: SimulatedEmbodiment) -> None:
    if controller.input_ref_frame != declared.frame:
        raise ConfigError(
            f"the controller of arm {arm.name!r} takes actions in the {controller.input_ref_frame} frame"
            f" (input_ref_frame), embodiment {declared.name!r} declares the {declared.frame} frame; change the"
            " controller, or give the task an embodiment of its own with that frame"
        )


def _scales(controller: Any, arm: Arm) -> tuple[float, float]:
    """What a command of 1 stands for, in m and rad; raises ConfigError where one number cannot say it."""
    high, low = np.ravel(controller.output_max), np.ravel(controller.output_min)
    whole = np.allclose(np.ravel(controller.input_max), 1) and np.allclose(np.ravel(controller.input_min), -1)
    even = np.allclose(high[:3], high[0]) and np.allclose(high[3:], high[3]) and np.allclose(low, -high)
    if not (whole and even):
        raise ConfigError(
            f"the controller of arm {arm.name!r} scales {controller.input_min} ... {controller.input_max} to"
            f" {low.tolist()} ... {high.tolist()}; expected -1 to 1, and one scale for all directions and both signs"
        )
    return float(high[0]), float(high[3])


def _compare(live: LivePart, part: Part | None, declared: SimulatedEmbodiment) -> None:
    if part is None or part.size != live.size:
        raise ConfigError(
            f"arm {live.arm!r} takes {live.size} numbers from number {live.first} of the action on; embodiment"
            f" {declared.name!r} declares no part of that size there"
        )
    if live.quantity == "hand":
        return
    if (live.quantity, live.unit) != (part.quantity, part.unit) or not np.isclose(live.limit, part.limit):
        raise ConfigError(
            f"the controller of arm {live.arm!r} takes {_words(live.quantity, live.limit)}; embodiment"
            f" {declared.name!r} declares {part.name!r}, {_words(part.quantity, part.limit)}. Change the task's"
            " controller, or give the task an embodiment that says what it does (SIMULATED_PANDA_ABSOLUTE for a Panda"
            " with absolute targets)"
        )


def _words(quantity: str, limit: float) -> str:
    scale = f" of {limit:g}" if quantity.endswith("delta") else ""
    return f"{_WORDS.get(quantity, quantity)}{scale}"
