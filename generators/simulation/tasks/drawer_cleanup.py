"""Two dexterous hands tidy a carton away: one opens and closes the drawer, the other fills it (sequential, twice)."""

from collections.abc import Mapping
from typing import Any

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS_INSPIRE
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Placement, Pose, Sequential, Subtask, Task

OPEN_M = 0.15
LIFTED_M = 0.95
"""Height in the world of the middle of a carton that has been picked up; it stands at 0.85."""


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {
        "cabinet": body_pose(env, env.cabinet.root_body),
        "drawer": body_pose(env, env.drawer_body),
        "carton": body_pose(env, env.carton.root_body),
    }


def signals(env: Any) -> Mapping[str, bool]:
    return {
        "drawer_open": env.drawer_open_m > OPEN_M,
        "carton_up": bool(body_pose(env, env.carton.root_body)[2, 3] > LIFTED_M),
        "carton_in_drawer": env.carton_in_drawer,
    }


def wider() -> Mapping[str, Any]:
    """D1: about twice the ranges of position and yaw."""
    from generators.simulation.environments.two_hands_at_table import Range  # loads robosuite

    cabinet = Range(x=(0.18, 0.26), y=(-0.14, -0.02), yaw=(-0.20, 0.20))
    return {"ranges": {"cabinet": cabinet, "carton": Range(x=(-0.22, -0.02), y=(0.16, 0.34), yaw=(-0.7, 0.7))}}


DRAWER_CLEANUP = Task(
    name="drawer_cleanup",
    environment="generators.simulation.environments.drawer_cleanup:DrawerCleanup",
    embodiment=SIMULATED_TWO_PANDAS_INSPIRE,
    instruction=("put the red carton into the drawer and close it", "tidy the carton away into the drawer"),
    subtasks={
        "right": (
            Subtask(
                name="open",
                reference="cabinet",
                termination_signal="aside",
                check="drawer_open",
                selection="nearest_object",
            ),
            Subtask(name="wait", reference=None, termination_signal="carton_dropped"),
            Subtask(name="close", reference="drawer"),
        ),
        "left": (
            Subtask(
                name="pick",
                reference="carton",
                termination_signal="carton_held",
                check="carton_up",
                selection="nearest_object",
            ),
            Subtask(name="place", reference="drawer", termination_signal="carton_dropped", check="carton_in_drawer"),
            Subtask(name="rest", reference=None),
        ),
    },
    constraints=(
        Sequential(former="right.open", latter="left.place"),
        Sequential(former="left.place", latter="right.close"),
    ),
    object_poses=object_poses,
    signals=signals,
    placements={"D0": Placement(), "D1": Placement(arguments=wider)},
    horizon=600,
    cameras=("agentview", "frontview"),
    expert="generators.simulation.experts.drawer_cleanup:expert",
    sources="drawer_cleanup.hdf5",
)
TASKS = (DRAWER_CLEANUP,)
