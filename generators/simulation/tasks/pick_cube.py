"""Pick a cube: one Panda lifts the red cube or the green one from a table on which both lie (robosuite's `Stack`).

Both tasks share the scene, the cameras and the placements of `stack`: only the instruction says which cube is meant.
"""

from collections.abc import Callable
from dataclasses import replace

from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Environment, Subtask
from generators.simulation.tasks.stack import STACK, grasp, grasped, signals, signals_of_green

LIFTED_M = 0.04
"""How far the lower face of a lifted cube is over the table."""
LYING_M = 0.01
"""The lower face of a cube that lies on the table is less than this over it."""


def picked(cube: str, other: str) -> Callable[[Environment], bool]:
    """Success of a pick: the gripper holds `cube` over the table while `other` lies there; attributes of `Stack`."""

    def success(environment: Environment) -> bool:
        held = grasped(environment, getattr(environment, cube))
        return held and bool(clearance(environment, cube) > LIFTED_M and clearance(environment, other) < LYING_M)

    return success


def clearance(environment: Environment, cube: str) -> float:
    """How far the lower face of a cube that stands upright is over the table, in metres."""
    thing = getattr(environment, cube)
    height = body_pose(environment, thing.root_body)[2, 3] + thing.bottom_offset[2]
    return float(height - environment.table_offset[2])


def _subtasks(cube: str) -> dict[str, tuple[Subtask, ...]]:
    lift = Subtask(name="lift", reference=cube, selection="nearest_object")
    return {"arm": (grasp(cube, termination_offset=(3, 6)), lift)}


PICK_RED = replace(
    STACK,
    name="pick_red",
    instruction="lift the red cube",
    subtasks=_subtasks("cubeA"),
    signals=signals,
    success=picked("cubeA", other="cubeB"),
    horizon=200,
    expert="generators.simulation.experts.lift:expert_red",
    sources="pick_red.hdf5",
)

PICK_GREEN = replace(
    PICK_RED,
    name="pick_green",
    instruction="lift the green cube",
    subtasks=_subtasks("cubeB"),
    signals=signals_of_green,
    success=picked("cubeB", other="cubeA"),
    expert="generators.simulation.experts.lift:expert_green",
    sources="pick_green.hdf5",
)

TASKS = (PICK_RED, PICK_GREEN)
