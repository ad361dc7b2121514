"""An environment of one's own, for two arms: each Panda lifts its cube, the left one after the right one has its own.

    pyramid sim collect examples/two_cubes.py --episodes 6 --output examples/two_cubes.hdf5
    pyramid sim check examples/two_cubes.py --no-video
    pyramid generate examples/two_cubes.py --keep 20

The class knows nothing of this project: it is written as robosuite's own environments are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from robosuite.environments.manipulation.two_arm_env import TwoArmEnv
from robosuite.models.arenas import TableArena
from robosuite.models.objects import BoxObject
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.placement_samplers import SequentialCompositeSampler, UniformRandomSampler

from generators.simulation.experts.lift import grasp_on_cube, pick
from generators.simulation.experts.waypoints import Milestones, Script, ScriptedArm, play, shifted
from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS
from generators.simulation.task.placements import with_ranges
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Action, Placement, Pose, Sequential, Subtask, Task

SIDES = ("right", "left")
TABLE_M = (0.8, 1.2, 0.05)
TABLE_TOP_M = 0.8
LIFTED_M = 0.08


class TwoCubes(TwoArmEnv):  # type: ignore[misc]
    """Two Pandas side by side at a table with a blue and a yellow cube, one before each."""

    def _load_model(self) -> None:
        super()._load_model()
        for robot, side_m in zip(self.robots, (-0.3, 0.3), strict=True):
            base = np.array(robot.robot_model.base_xpos_offset["table"](TABLE_M[0]))
            robot.robot_model.set_base_xpos(base + np.array([0.0, side_m, 0.0]))
        arena = TableArena(table_full_size=TABLE_M, table_offset=(0, 0, TABLE_TOP_M))
        arena.set_origin([0, 0, 0])
        colours = {"right": (0.1, 0.2, 0.9, 1), "left": (0.9, 0.8, 0.1, 1)}
        self.cubes = {side: BoxObject(name=f"cube_{side}", size=[0.022] * 3, rgba=colours[side]) for side in SIDES}
        self.placement_initializer = SequentialCompositeSampler(name="cubes")
        for side, side_m in zip(SIDES, (-0.25, 0.25), strict=True):
            sampler = UniformRandomSampler(
                name=side,
                mujoco_objects=self.cubes[side],
                x_range=[-0.05, 0.05],
                y_range=[side_m - 0.05, side_m + 0.05],
                rotation=None,
                ensure_object_boundary_in_range=False,
                reference_pos=(0, 0, TABLE_TOP_M),
                z_offset=0.002,
                rng=self.rng,
            )
            self.placement_initializer.append_sampler(sampler)
        self.model = ManipulationTask(
            mujoco_arena=arena,
            mujoco_robots=[robot.robot_model for robot in self.robots],
            mujoco_objects=list(self.cubes.values()),
        )

    def _reset_internal(self) -> None:
        super()._reset_internal()
        for position, quaternion, cube in self.placement_initializer.sample().values():
            self.sim.data.set_joint_qpos(cube.joints[0], np.concatenate([position, quaternion]))

    def height_m(self, side: str) -> float:
        """How far the cube's centre is over the table."""
        body = self.sim.model.body_name2id(self.cubes[side].root_body)
        return float(self.sim.data.body_xpos[body][2] - TABLE_TOP_M)

    def reward(self, action: Any = None) -> float:
        return float(self._check_success())

    def _check_success(self) -> bool:
        return all(self.height_m(side) > LIFTED_M for side in SIDES)


def object_poses(env: Any) -> Mapping[str, Pose]:
    return {f"cube_{side}": body_pose(env, cube.root_body) for side, cube in env.cubes.items()}


def signals(env: Any) -> Mapping[str, bool]:
    pairs = zip(SIDES, env.robots, strict=True)
    return {
        f"{side}_held": env._check_grasp(gripper=robot.gripper["right"], object_geoms=env.cubes[side])
        for side, robot in pairs
    }


def expert(env: Any, rng: np.random.Generator) -> Iterator[tuple[Action, dict[str, bool]]]:
    """Both arms take and lift their cubes; the left one lifts when the right one has taken."""
    arms, done = [ScriptedArm(env, 0), ScriptedArm(env, 1)], Milestones("right_took", "left_took")
    speeds = rng.uniform(0.20, 0.28, 2)
    scripts = [_script(env, arm, side, done, speed) for arm, side, speed in zip(arms, SIDES, speeds, strict=True)]
    yield from play(arms, scripts, done)


def _script(env: Any, arm: ScriptedArm, side: str, done: Milestones, speed_m_s: float) -> Script:
    grasp = grasp_on_cube(arm, object_poses(env)[f"cube_{side}"])
    yield from pick(arm, grasp, speed_m_s=speed_m_s)
    done.reach(f"{side}_took")
    if side == "left":
        yield from arm.wait_until(lambda: done["right_took"])
    yield from arm.move(shifted(grasp, (0, 0, 0.13)), speed_m_s=speed_m_s, tolerance_m=0.02)
    yield from arm.wait(8)


def _subtasks(side: str) -> tuple[Subtask, ...]:
    return (
        Subtask(
            name="take",
            reference=f"cube_{side}",
            termination_signal=f"{side}_took",
            check=f"{side}_held",
            selection="nearest_object",
        ),
        Subtask(name="lift", reference=f"cube_{side}", selection="nearest_object"),
    )


TASKS = (
    Task(
        name="two_cubes",
        environment=TwoCubes,
        embodiment=SIMULATED_TWO_PANDAS,
        instruction="lift the blue cube with the right arm and the yellow cube with the left arm",
        subtasks={side: _subtasks(side) for side in SIDES},
        constraints=(Sequential(former="right.take", latter="left.lift"),),
        object_poses=object_poses,
        signals=signals,
        placements={
            "D0": Placement(),
            "D1": Placement(prepare=with_ranges(x=(-0.1, 0.1), y=(-0.35, -0.15), sampler="right")),
        },
        horizon=300,
        cameras=("agentview", "frontview"),
        expert=expert,
        sources="two_cubes.hdf5",
    ),
)
