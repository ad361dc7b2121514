"""A task of one's own on an environment of robosuite: the round nut onto its peg (`NutAssemblyRound`).

pyramid sim collect examples/round_nut.py --episodes 6 --output examples/round_nut.hdf5
pyramid sim check examples/round_nut.py --no-video
pyramid generate examples/round_nut.py --keep 20
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from generators.simulation.experts.waypoints import Milestones, Script, ScriptedArm, downward, play, pose, shifted
from generators.simulation.robots.panda import SIMULATED_PANDA
from generators.simulation.task.execution import Execution
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Action, Placement, Pose, Subtask, Task

OPEN, CLOSED = (-1.0,), (1.0,)
HANDLE_M = 0.06
"""From the nut's centre to the middle of its handle, along its x axis."""


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {"nut": body_pose(env, env.nuts[1].root_body), "peg": body_pose(env, "peg2")}


def signals(env: Any) -> Mapping[str, bool]:
    held = env._check_grasp(gripper=env.robots[0].gripper["right"], object_geoms=env.nuts[1])
    height = body_pose(env, env.nuts[1].root_body)[2, 3] - env.table_offset[2]
    return {"held": held, "lifted": held and height > 0.03}


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """Take the nut by its handle, carry it over the peg, let it down and go."""
    arm = ScriptedArm(env, 0)
    yield from play([arm], [_script(env, arm, rng.uniform(0.16, 0.24))], Milestones())


def _script(env: Any, arm: ScriptedArm, speed_m_s: float) -> Script:
    yield from arm.wait(10)  # a reset leaves the nut in the air
    nut, peg = object_poses(env)["nut"], object_poses(env)["peg"]
    handle = nut[:3, 3] + HANDLE_M * nut[:3, 0]
    grasp = pose(handle, downward(_nearest_turn(arm, np.arctan2(nut[1, 0], nut[0, 0]))))
    yield from arm.move(shifted(grasp, (0, 0, 0.10)), speed_m_s=speed_m_s, tolerance_m=0.01)
    yield from arm.move(grasp, speed_m_s=0.5 * speed_m_s, tolerance_m=0.004)
    yield from arm.grip(CLOSED, steps=8)
    yield from arm.move(shifted(grasp, (0, 0, 0.20)), speed_m_s=speed_m_s, tolerance_m=0.02)
    offset = arm.pose_in_world[:3, 3] - object_poses(env)["nut"][:3, 3]
    over = pose([*(peg[:2, 3] + offset[:2]), arm.pose_in_world[2, 3]], grasp[:3, :3])
    yield from arm.move(over, speed_m_s=speed_m_s, tolerance_m=0.003, patience_steps=30)
    missing = peg[:2, 3] - object_poses(env)["nut"][:2, 3]
    over = shifted(over, (*missing, 0.0))
    yield from arm.move(over, speed_m_s=0.5 * speed_m_s, tolerance_m=0.002, patience_steps=20)
    low = env.table_offset[2] + 0.10 - object_poses(env)["nut"][2, 3]
    yield from arm.move(shifted(over, (0, 0, low)), speed_m_s=0.6 * speed_m_s, tolerance_m=0.01)
    yield from arm.grip(OPEN, steps=8)
    yield from arm.move(shifted(over, (0, 0, 0.02)), speed_m_s=speed_m_s, tolerance_m=0.03)
    yield from arm.wait(6)


def _nearest_turn(arm: ScriptedArm, heading_rad: float) -> float:
    """The heading, or its opposite, that asks less of the wrist."""
    x_axis = arm.pose_in_world[:3, 0]
    return heading_rad + np.pi * float(np.round((np.arctan2(x_axis[1], x_axis[0]) - heading_rad) / np.pi))


TASKS = (
    Task(
        name="round_nut",
        environment="NutAssemblyRound",
        embodiment=SIMULATED_PANDA,
        instruction="put the round nut on the round peg",
        subtasks={
            "arm": (
                Subtask(
                    name="grasp",
                    reference="nut",
                    termination_signal="lifted",
                    termination_offset=(2, 5),
                    check="held",
                    selection="nearest_object",
                    noise_position_m=0.0015,
                    noise_rotation_rad=0.015,
                ),
                Subtask(name="place", reference="peg", noise_position_m=0.001, noise_rotation_rad=0.01),
            )
        },
        object_poses=object_poses,
        signals=signals,
        placements={
            "D0": Placement(),
            "D1": Placement(prepare=with_ranges(x=(-0.13, -0.09), y=(-0.24, -0.09), sampler="RoundNutSampler")),
        },
        horizon=400,
        expert=expert,
        sources="round_nut.hdf5",
        execution=Execution(retries=1),
    ),
)
