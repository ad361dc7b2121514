"""Tabletop tasks that take both hands of the GR-1: carrying together, clearing the way for the other, handing over."""

from collections.abc import Mapping
from typing import Any

from generators.simulation.environments.tabletop_layout import LEFT_M, MIDDLE_M, RIGHT_M, Item, Spread
from generators.simulation.task.specification import Coordination, Sequential, Subtask
from generators.simulation.tasks.tabletop import (
    HELD_M,
    LIFTED_M,
    instructions,
    lift_signals,
    rest,
    tabletop_task,
    take,
)

SIDES = ("right", "left")
_EXPERTS = "generators.simulation.experts.gr1_two_hands"


def _carry_signals(env: Any) -> Mapping[str, bool]:
    pressed, height = all(env.touched("object", side) for side in SIDES), env.height_above("object", "source")
    return {
        "raised": pressed and height > LIFTED_M,
        "up": pressed and height > HELD_M,
        "placed": env.rests_in("object", "target"),
    }


CARRY = tabletop_task(
    "carry_crate_from_placemat_to_cutting_board",
    Item(key="source", name="placemat", at_m=(-0.2, -0.13)),
    Item(key="target", name="cutting_board", at_m=(-0.2, 0.13)),
    Item(key="object", name="crate", on="source"),
    goals={"object": "target"},
    wide=Spread(x_m=0.035, y_m=0.03, yaw_rad=0.2, on_item_m=0.02, on_item_yaw_rad=0.15),
    horizon=450,
    instruction=(
        "rearrange the crate from the placemat to the cutting board",
        "lift the crate with both hands and put it on the cutting board",
    ),
    subtasks={
        side: (
            Subtask(name="press", reference="object", termination_signal="gripped", selection="nearest_object"),
            Subtask(
                name="lift", reference="object", termination_signal="raised", check="up", selection="nearest_object"
            ),
            Subtask(name="carry", reference="target", selection="nearest_object", interpolation_steps=30),
        )
        for side in SIDES
    },
    constraints=(
        Coordination(subtasks=("right.lift", "left.lift"), scheme="transform"),
        Coordination(subtasks=("right.carry", "left.carry"), scheme="transform"),
    ),
    signals=_carry_signals,
    expert=f"{_EXPERTS}:carry",
)


def _clear_signals(env: Any) -> Mapping[str, bool]:
    return {
        **lift_signals(env, "object", "source", "right"),
        **lift_signals(env, "obstacle", "target", "left"),
        "cleared": env.rests_in("obstacle", "aside") and not env.touched("obstacle", "left"),
        "placed": env.rests_in("object", "target"),
    }


CLEAR = tabletop_task(
    "clear_cup_then_can_from_placemat_to_plate",
    Item(key="source", name="placemat", at_m=RIGHT_M),
    Item(key="target", name="plate", at_m=MIDDLE_M),
    Item(key="aside", name="basket", at_m=LEFT_M),
    Item(key="object", name="can", on="source"),
    Item(key="obstacle", name="cup", on="target"),
    goals={"object": "target", "obstacle": "aside"},
    horizon=500,
    instruction=(
        "clear the cup off the plate, then rearrange the can from the placemat to the plate",
        "move the cup from the plate to the basket with the left hand and put the can on the plate",
    ),
    subtasks={
        "right": (
            take(),
            Subtask(name="put", reference="target", selection="nearest_object", interpolation_steps=10),
        ),
        "left": (
            take("obstacle"),
            Subtask(
                name="clear",
                reference="aside",
                termination_signal="cleared",
                termination_offset=(12, 12),
                check="cleared",
                selection="nearest_object",
                interpolation_steps=10,
            ),
            rest("withdraw"),
        ),
    },
    constraints=(Sequential(former="left.clear", latter="right.put"),),
    signals=_clear_signals,
    expert=f"{_EXPERTS}:clear_then_place",
)


def _handover_signals(env: Any) -> Mapping[str, bool]:
    return {
        **lift_signals(env, "object", "source", "right"),
        "left_holds": env.held("object", "left"),
        "placed": env.rests_in("object", "target"),
    }


def _stay(name: str, *, termination_signal: str) -> Subtask:
    """A subtask that refers to no object. The handover is a chain of such waits: the thermos hangs differently in a
    hand every time, and the taking hand has to go where it is."""
    return Subtask(name=name, reference=None, termination_signal=termination_signal)


HAND_OVER = tabletop_task(
    "hand_over_thermos_from_placemat_to_cardboard_box",
    Item(key="source", name="placemat", at_m=RIGHT_M),
    Item(key="target", name="cardboard_box", at_m=LEFT_M),
    Item(key="object", name="thermos", on="source"),
    goals={"object": "target"},
    horizon=500,
    instruction=(*instructions("thermos", "placemat", "cardboard_box"), "hand the thermos over and put it in the box"),
    subtasks={
        "right": (
            take(),
            Subtask(name="present", reference=None, termination_signal="offered", interpolation_steps=10),
            _stay("wait", termination_signal="caught"),
            _stay("release", termination_signal="free"),
            rest("withdraw"),
        ),
        "left": (
            _stay("ready", termination_signal="offered"),
            Subtask(
                name="receive",
                reference="object",
                termination_signal="caught",
                check="left_holds",
                selection="nearest_object",
                interpolation_steps=10,
            ),
            _stay("hold", termination_signal="free"),
            Subtask(name="put", reference="target", selection="nearest_object", interpolation_steps=10),
        ),
    },
    constraints=(
        Sequential(former="right.present", latter="left.receive"),
        Sequential(former="left.receive", latter="right.release"),
        Sequential(former="right.release", latter="left.put"),
    ),
    signals=_handover_signals,
    expert=f"{_EXPERTS}:hand_over",
    version=2,
)

TASKS = (CARRY, CLEAR, HAND_OVER)
