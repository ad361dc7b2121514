"""Two dexterous hands lift a tray with a load on it (coordination)."""

from collections.abc import Mapping
from typing import Any

from generators.simulation.panda_pairs import TWO_PANDAS_INSPIRE_BODY
from generators.simulation.readings import body_pose
from generators.simulation.task import Coordination, Placement, Pose, Subtask, Task

TOUCHING_FINGERS = 2
_FINGERS = ("index", "middle", "ring", "pinky")


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"tray": body_pose(env, env.tray.root_body)}


def signals(env: Any) -> Mapping[str, bool]:
    return {
        "right_hooked": _hooked(env, "gripper0_right_r", "tray_right_bar"),
        "left_hooked": _hooked(env, "gripper1_right_l", "tray_left_bar"),
        "load_in_tray": env.load_in_tray,
    }


def _hooked(env: Any, hand: str, bar: str) -> bool:
    """At least two of the four fingers touch the bar."""
    touching = [
        any(env.check_contact([f"{hand}_{finger}_{part}_col"], [bar]) for part in ("proximal", "distal"))
        for finger in _FINGERS
    ]
    return sum(touching) >= TOUCHING_FINGERS


def wider() -> Mapping[str, Any]:
    """D1: about twice the ranges of position and yaw."""
    from generators.simulation.environments.two_hands_at_table import Range  # loads robosuite

    return {"ranges": {"tray": Range(x=(-0.16, 0.0), y=(-0.06, 0.06), yaw=(-0.5, 0.5))}}


TRAY_LIFT = Task(
    name="tray_lift",
    environment="generators.simulation.environments.tray_lift:TrayLift",
    body=TWO_PANDAS_INSPIRE_BODY,
    instruction=("lift the tray with both hands without spilling the block", "pick up the tray and keep it level"),
    subtasks={
        side: (
            Subtask(
                name="hook",
                reference="tray",
                end_signal=f"{side}_ready",
                check=f"{side}_hooked",
                selection="nearest_object",
            ),
            Subtask(name="lift", reference="tray", selection="nearest_object"),
        )
        for side in ("right", "left")
    },
    constraints=(Coordination(subtasks=("right.lift", "left.lift"), scheme="transform"),),
    object_poses=object_poses,
    signals=signals,
    placements={"D0": Placement(), "D1": Placement(arguments=wider)},
    horizon=250,
    expert="generators.simulation.experts.tray_lift:expert",
    sources="tray_lift.hdf5",
)
TASKS = (TRAY_LIFT,)
