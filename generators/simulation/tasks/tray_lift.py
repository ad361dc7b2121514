"""Two dexterous hands lift a tray with a load on it (coordination)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS_INSPIRE
from generators.simulation.task.scene_poses import body_pose, geom_pose, site_pose
from generators.simulation.task.specification import Coordination, Placement, Pose, Subtask, Task

BAR_IN_HAND_M = (-0.090, 0.030)
"""Where the bar lies in a hand that has hooked it: y and z of the hand's frame."""
WITHIN_M = 0.025


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"tray": body_pose(env, env.tray.root_body)}


def signals(env: Any) -> Mapping[str, bool]:
    return {
        "right_hooked": _hooked(env, "gripper0_right_grip_site", "tray_right_bar"),
        "left_hooked": _hooked(env, "gripper1_right_grip_site", "tray_left_bar"),
        "load_in_tray": env.load_in_tray,
    }


def _hooked(env: Any, hand: str, bar: str) -> bool:
    """The bar lies between palm and fingers; before the tray is lifted nothing needs to touch it."""
    bar_in_hand = np.linalg.inv(site_pose(env, hand)) @ geom_pose(env, bar)
    return bool(np.hypot(*(bar_in_hand[1:3, 3] - BAR_IN_HAND_M)) < WITHIN_M)


def wider() -> Mapping[str, Any]:
    """D1: about twice the ranges of position and yaw."""
    from generators.simulation.environments.two_hands_at_table import Range  # loads robosuite

    return {"ranges": {"tray": Range(x=(-0.16, 0.0), y=(-0.06, 0.06), yaw=(-0.5, 0.5))}}


TRAY_LIFT = Task(
    name="tray_lift",
    environment="generators.simulation.environments.tray_lift:TrayLift",
    embodiment=SIMULATED_TWO_PANDAS_INSPIRE,
    instruction=("lift the tray with both hands without spilling the block", "pick up the tray and keep it level"),
    subtasks={
        side: (
            Subtask(
                name="hook",
                reference="tray",
                termination_signal=f"{side}_ready",
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
    cameras=("agentview", "frontview"),
    expert="generators.simulation.experts.tray_lift:expert",
    sources="tray_lift.hdf5",
)
TASKS = (TRAY_LIFT,)
