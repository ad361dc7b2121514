"""Stack: one Panda puts a red cube on a green one, or the green one on the red one (robosuite's `Stack`).

Both tasks share one scene, its cameras and its placements: only the instruction tells them apart.
"""

from dataclasses import replace

from generators.simulation.robots.panda import SIMULATED_PANDA
from generators.simulation.task.execution import Execution
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Environment, Placement, Pose, Subtask, Task

GREEN_RAISED_M = 0.05
"""Height of the green cube's centre over the table: 2.5 cm when it lies there, 6.5 cm when it lies on the red one."""


def object_poses(environment: Environment) -> dict[str, Pose]:
    return {
        "cubeA": body_pose(environment, environment.cubeA.root_body),
        "cubeB": body_pose(environment, environment.cubeB.root_body),
    }


def signals(environment: Environment) -> dict[str, bool]:
    return {"grasped": grasped(environment, environment.cubeA)}


def signals_of_green(environment: Environment) -> dict[str, bool]:
    return {"grasped": grasped(environment, environment.cubeB)}


def green_on_red(environment: Environment) -> bool:
    """Whether the green cube rests on the red one and the gripper has let go, as robosuite checks red on green."""
    green = body_pose(environment, environment.cubeB.root_body)
    raised = green[2, 3] > environment.table_offset[2] + GREEN_RAISED_M
    touching = environment.check_contact(environment.cubeA, environment.cubeB)
    return bool(raised and touching and not grasped(environment, environment.cubeB))


def grasped(environment: Environment, cube: object) -> bool:
    gripper = environment.robots[0].gripper["right"]
    return bool(environment._check_grasp(gripper=gripper, object_geoms=cube))


def grasp(cube: str, *, termination_offset: tuple[int, int]) -> Subtask:
    """The subtask that ends when the gripper holds `cube`."""
    return Subtask(
        name="grasp",
        reference=cube,
        termination_signal="grasped",
        termination_offset=termination_offset,
        check="grasped",
        selection="nearest_object",
    )


def _subtasks(cube: str, base: str) -> dict[str, tuple[Subtask, ...]]:
    place = Subtask(name="place", reference=base, selection="nearest_object")
    return {"arm": (grasp(cube, termination_offset=(5, 10)), place)}


STACK = Task(
    name="stack",
    environment="Stack",
    embodiment=SIMULATED_PANDA,
    instruction="stack the red cube on the green cube",
    subtasks=_subtasks("cubeA", "cubeB"),
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

STACK_GREEN_ON_RED = replace(
    STACK,
    name="stack_green_on_red",
    instruction="stack the green cube on the red cube",
    subtasks=_subtasks("cubeB", "cubeA"),
    signals=signals_of_green,
    success=green_on_red,
    expert="generators.simulation.experts.stack:expert_green_on_red",
    sources="stack_green_on_red.hdf5",
)

TASKS = (STACK, STACK_GREEN_ON_RED)
