"""robosuite's TwoArmHandover: the right Panda takes a hammer from the table and hands it to the left (coordination)."""

from collections.abc import Mapping
from typing import Any

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Coordination, Placement, Pose, Subtask, Task

LONG_HANDLE_SEED = 8
"""robosuite draws the hammer when it builds the scene, with handles of 10 to 25 cm; this seed makes one of 24.8 cm,
long enough for two hands."""


def long_handle(**settings: Any) -> Any:
    """The environment with the hammer of `LONG_HANDLE_SEED`."""
    import robosuite  # slow to load, and the list of tasks has to be quick

    return robosuite.make("TwoArmHandover", **{**settings, "seed": LONG_HANDLE_SEED})


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"hammer": body_pose(env, env.hammer.root_body)}


def signals(env: Any) -> Mapping[str, bool]:
    right, left = (robot.gripper["right"] for robot in env.robots)
    return {
        "right_holds": env._check_grasp(gripper=right, object_geoms=env.hammer),
        "left_holds": env._check_grasp(gripper=left, object_geoms=env.hammer.handle_geoms),
    }


def spread_wider(env: Any) -> None:
    """D1: twice the range of positions across the table, half as much again along it; any yaw, as in D0."""
    env.placement_initializer.x_range = [-0.20, 0.20]
    env.placement_initializer.y_range = [-0.075, 0.075]


TWO_ARM_HANDOVER = Task(
    name="two_arm_handover",
    environment=long_handle,
    embodiment=SIMULATED_TWO_PANDAS,
    instruction=(
        "hand the hammer from the right arm to the left arm",
        "pick up the hammer and pass it to the other arm",
    ),
    subtasks={
        "right": (
            Subtask(
                name="grasp",
                reference="hammer",
                termination_signal="lifted",
                check="right_holds",
                selection="nearest_object",
                nearest_k=2,
                rotation_weight_m_per_rad=0.3,
            ),
            Subtask(name="give", reference=None),
        ),
        "left": (
            Subtask(name="ready", reference=None, termination_signal="lifted"),
            Subtask(name="take", reference=None),
        ),
    },
    constraints=(Coordination(subtasks=("right.give", "left.take"), scheme="replay"),),
    object_poses=object_poses,
    signals=signals,
    placements={"D0": Placement(), "D1": Placement(prepare=spread_wider)},
    horizon=450,
    cameras=("frontview", "robot0_eye_in_hand"),
    expert="generators.simulation.experts.two_arm_handover:expert",
    sources="two_arm_handover.hdf5",
)
TASKS = (TWO_ARM_HANDOVER,)
