"""robosuite's TwoArmTransport: uncover and hand over a hammer while the other arm clears its bin (sequential).

The hammer is taken out only after the target bin has been cleared. The handover is a chain of waits, present, take,
release, lay down, because the hammer hangs differently in the gripper every time: the taking hand has to go where it
is. (A coordinated replay, as in `two_arm_handover`, succeeded in half of the attempts.)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from generators.simulation.robots.panda import SIMULATED_TWO_PANDAS
from generators.simulation.task.execution import Execution
from generators.simulation.task.scene_poses import body_pose
from generators.simulation.task.specification import Placement, Pose, Sequential, Subtask, Task


def object_poses(env: Any) -> Mapping[str, Pose]:
    things = env.transport.objects
    return {name: body_pose(env, thing.root_body) for name, thing in things.items()}


def signals(env: Any) -> Mapping[str, bool]:
    right, left = (robot.gripper["right"] for robot in env.robots)
    group = env.transport
    return {
        "right_holds_payload": env._check_grasp(gripper=right, object_geoms=group.payload),
        "left_holds_payload": env._check_grasp(gripper=left, object_geoms=group.payload),
        "left_holds_trash": env._check_grasp(gripper=left, object_geoms=group.trash),
        "trash_in_trash_bin": group.trash_in_trash_bin,
        "lid_aside": abs(group.lid_handle_pos[0] - group.payload_pos[0]) > 0.25,
    }


def spread_wider(env: Any) -> None:
    """D1: bins up to 3 cm off in each direction instead of half a centimetre, and a third more of the hammer's yaw."""
    for name, sampler in env.placement_initializer.samplers.items():
        middle = float(np.mean(sampler.x_range))
        sampler.x_range = [middle - 0.03, middle + 0.03]
        sampler.y_range = [-0.03, 0.03]
        if name == "payloadObjectSampler":
            sampler.rotation = [np.pi / 2 - np.radians(40), np.pi / 2 + np.radians(40)]


def _stay(name: str, *, termination_signal: str | None = None) -> Subtask:
    """A subtask that refers to no object, from the source in which the hand was most nearly where it is now: hammers
    that lie the other way round are held out with the gripper turned by half a circle."""
    return Subtask(
        name=name, reference=None, termination_signal=termination_signal, selection="nearest_robot", nearest_k=1
    )


TWO_ARM_TRANSPORT = Task(
    name="two_arm_transport",
    environment="TwoArmTransport",
    embodiment=SIMULATED_TWO_PANDAS,
    instruction=(
        "throw the cube away, then pass the hammer from the covered bin to the empty bin",
        "clear the target bin and move the hammer there from the bin with the lid",
    ),
    subtasks={
        "right": (
            Subtask(name="uncover", reference="lid", termination_signal="lid_off", check="lid_aside"),
            Subtask(
                name="pick",
                reference="payload",
                termination_signal="payload_out",
                check="right_holds_payload",
                selection="nearest_object",
                nearest_k=2,
            ),
            _stay("present", termination_signal="presented"),
            _stay("wait", termination_signal="taken"),
            _stay("release", termination_signal="released"),
            _stay("rest"),
        ),
        "left": (
            Subtask(
                name="clear",
                reference="trash",
                termination_signal="trash_held",
                check="left_holds_trash",
                selection="nearest_object",
            ),
            Subtask(name="dump", reference="trash_bin", termination_signal="trash_gone", check="trash_in_trash_bin"),
            _stay("ready", termination_signal="presented"),
            Subtask(
                name="take",
                reference="payload",
                termination_signal="taken",
                check="left_holds_payload",
                selection="nearest_object",
                nearest_k=2,
            ),
            _stay("hold", termination_signal="released"),
            Subtask(name="place", reference="target_bin"),
        ),
    },
    constraints=(
        Sequential(former="left.dump", latter="right.pick"),
        Sequential(former="right.present", latter="left.take"),
        Sequential(former="left.take", latter="right.release"),
        Sequential(former="right.release", latter="left.place"),
    ),
    execution=Execution(sources_per="subtask"),
    object_poses=object_poses,
    signals=signals,
    placements={"D0": Placement(), "D1": Placement(prepare=spread_wider)},
    horizon=900,
    cameras=("shouldercamera0", "shouldercamera1"),
    expert="generators.simulation.experts.two_arm_transport:expert",
    sources="two_arm_transport.hdf5",
)
TASKS = (TWO_ARM_TRANSPORT,)
