"""Lift: one Panda takes a cube and lifts it (robosuite's `Lift`)."""

from generators.simulation.robots.panda import SIMULATED_PANDA
from generators.simulation.task.execution import Execution
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Environment, Placement, Pose, Subtask, Task


def object_poses(environment: Environment) -> dict[str, Pose]:
    return {"cube": body_pose(environment, environment.cube.root_body)}


def signals(environment: Environment) -> dict[str, bool]:
    gripper = environment.robots[0].gripper["right"]
    return {"grasped": environment._check_grasp(gripper=gripper, object_geoms=environment.cube)}


LIFT = Task(
    name="lift",
    environment="Lift",
    embodiment=SIMULATED_PANDA,
    instruction="lift the red cube",
    subtasks={
        "arm": (
            Subtask(
                name="grasp",
                reference="cube",
                termination_signal="grasped",
                termination_offset=(3, 6),
                check="grasped",
                selection="nearest_object",
            ),
            Subtask(name="lift", reference="cube", selection="nearest_object"),
        )
    },
    object_poses=object_poses,
    signals=signals,
    placements={
        "D0": Placement(),
        "D1": Placement(prepare=with_ranges(x=(-0.15, 0.15), y=(-0.2, 0.2))),
    },
    horizon=200,
    expert="generators.simulation.experts.lift:expert",
    sources="lift.hdf5",
    execution=Execution(sources_per="subtask", retries=1),
)

TASKS = (LIFT,)
