"""robosuite's TwoArmPegInHole: one flange carries a peg, the other a plate with a hole (sequential).

The peg's target moves with the other arm: it is aimed only after the plate has been presented.
"""

from collections.abc import Mapping
from typing import Any

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS_HANDLESS
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Placement, Pose, Sequential, Subtask, Task

INSERTED_M = 0.06
ASIDE_M = 0.05
ALONG_COSINE = 0.98


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"plate": body_pose(env, env.hole.root_body), "peg": body_pose(env, env.peg.root_body)}


def signals(env: Any) -> Mapping[str, bool]:
    return {"inserted": inserted(env)}


def inserted(env: Any) -> bool:
    """The middle of the peg is within 6 cm of the plate, close to the hole's axis and along it. robosuite's own check
    accepts a tip that has just reached the plate."""
    along, aside, cosine = env._compute_orientation()
    return bool(abs(along) < INSERTED_M and aside < ASIDE_M and cosine > ALONG_COSINE)


TWO_ARM_PEG_IN_HOLE = Task(
    name="two_arm_peg_in_hole",
    environment="TwoArmPegInHole",
    embodiment=SIMULATED_TWO_PANDAS_HANDLESS,
    instruction=("put the peg through the hole in the plate", "insert the peg into the plate that the other arm holds"),
    subtasks={
        "right": (
            Subtask(name="aim", reference=None, termination_signal="aimed"),
            Subtask(name="insert", reference="plate"),
        ),
        "left": (
            Subtask(name="present", reference=None, termination_signal="presented"),
            Subtask(name="hold", reference=None),
        ),
    },
    constraints=(Sequential(former="left.present", latter="right.insert"),),
    object_poses=object_poses,
    signals=signals,
    success=inserted,
    placements={
        "D0": Placement(),
        "D1": Placement(arguments={"initialization_noise": {"magnitude": 0.08, "type": "gaussian"}}),
    },
    horizon=250,
    expert="generators.simulation.experts.two_arm_peg_in_hole:expert",
    sources="two_arm_peg_in_hole.hdf5",
)
TASKS = (TWO_ARM_PEG_IN_HOLE,)
