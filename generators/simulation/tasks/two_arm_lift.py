"""robosuite's TwoArmLift: two Pandas face each other, take a pot by its handles and lift it (coordination)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Coordination, Placement, Pose, Subtask, Task


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"pot": body_pose(env, env.pot.root_body)}


def signals(env: Any) -> Mapping[str, bool]:
    right, left = (robot.gripper["right"] for robot in env.robots)
    return {
        "right_holds": env._check_grasp(gripper=right, object_geoms=env.pot.handle0_geoms),
        "left_holds": env._check_grasp(gripper=left, object_geoms=env.pot.handle1_geoms),
    }


def spread_wider(env: Any) -> None:
    """D1: nearly three times the range of positions, and a quarter more of yaw."""
    sampler = env.placement_initializer
    sampler.x_range = sampler.y_range = [-0.08, 0.08]
    sampler.rotation = (np.pi - np.radians(75), np.pi + np.radians(75))


TWO_ARM_LIFT = Task(
    name="two_arm_lift",
    environment="TwoArmLift",
    embodiment=SIMULATED_TWO_PANDAS,
    instruction=("lift the pot by its handles", "pick up the pot with both arms and keep it level"),
    subtasks={
        side: (
            Subtask(
                name="grasp",
                reference="pot",
                termination_signal=f"handle{number}_held",
                check=f"{side}_holds",
                selection="nearest_object",
            ),
            Subtask(name="lift", reference="pot", selection="nearest_object"),
        )
        for number, side in enumerate(("right", "left"))
    },
    constraints=(Coordination(subtasks=("right.lift", "left.lift"), scheme="transform"),),
    object_poses=object_poses,
    signals=signals,
    placements={"D0": Placement(), "D1": Placement(prepare=spread_wider)},
    horizon=250,
    expert="generators.simulation.experts.two_arm_lift:expert",
    sources="two_arm_lift.hdf5",
)
TASKS = (TWO_ARM_LIFT,)
