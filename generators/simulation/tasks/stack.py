"""Stack: one Panda puts a red cube on a green one (robosuite's `Stack`)."""

from generators.simulation.robots.panda import PANDA_BODY
from generators.simulation.task.execution import Execution
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Environment, Placement, Pose, Subtask, Task


def object_poses(environment: Environment) -> dict[str, Pose]:
    return {
        "cubeA": body_pose(environment, environment.cubeA.root_body),
        "cubeB": body_pose(environment, environment.cubeB.root_body),
    }


def signals(environment: Environment) -> dict[str, bool]:
    gripper = environment.robots[0].gripper["right"]
    return {"grasped": environment._check_grasp(gripper=gripper, object_geoms=environment.cubeA)}


STACK = Task(
    name="stack",
    environment="Stack",
    body=PANDA_BODY,
    instruction="stack the red cube on the green cube",
    subtasks={
        "arm": (
            Subtask(
                name="grasp",
                reference="cubeA",
                end_signal="grasped",
                end_offset=(5, 10),
                check="grasped",
                selection="nearest_object",
            ),
            Subtask(name="place", reference="cubeB", selection="nearest_object"),
        )
    },
    object_poses=object_poses,
    signals=signals,
    placements={
        "D0": Placement(),
        "D1": Placement(prepare=with_ranges(x=(-0.15, 0.15), y=(-0.2, 0.2))),
    },
    horizon=300,
    expert="generators.simulation.experts.stack:expert",
    sources="stack.hdf5",
    execution=Execution(sources_per="subtask", retries=1),
)

TASKS = (STACK,)
