"""Panda arms in simulation: how the embodiments `panda` and `two_pandas` sit in robosuite."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.osc_actuation import OscActuation
from generators.simulation.robots.rotations import rotation_6d
from generators.simulation.task.scene_poses import hand_positions, joint_positions, site_of
from generators.simulation.task.specification import Arm, Environment, SimulatedEmbodiment
from storage.embodiment import (
    PANDA,
    TWO_PANDAS,
    TWO_PANDAS_HANDLESS,
    TWO_PANDAS_INSPIRE,
    Embodiment,
    Layout,
    Part,
    register,
)


def arms_state(arms: tuple[Arm, ...]) -> Callable[[Environment], NDArray[np.float32]]:
    """The state vector of arms: for each, end-effector position (3) and rotation (6, two columns) in the world, hand
    joints, arm joints."""

    def state(environment: Environment) -> NDArray[np.float32]:
        data = environment.sim.data._data
        pieces = []
        for arm in arms:
            site = site_of(environment, arm)
            pieces += [data.site_xpos[site], rotation_6d(data.site_xmat[site].reshape(3, 3))]
            pieces += [hand_positions(environment, arm), joint_positions(environment, arm)]
        vector: NDArray[np.float32] = np.concatenate(pieces).astype(np.float32)
        return vector

    return state


ONE_ARM = (Arm(name="arm"),)
SIMULATED_PANDA = SimulatedEmbodiment(
    name=PANDA.name,
    robots=("Panda",),
    arms=ONE_ARM,
    state=arms_state(ONE_ARM),
    actuation=OscActuation,
)


def _absolute_targets() -> dict[str, Any]:
    """robosuite's own controllers of a Panda, told to take absolute targets in the base frame."""
    from robosuite.controllers import load_composite_controller_config

    config: dict[str, Any] = load_composite_controller_config(robot="Panda")
    config["body_parts"]["right"] |= {"input_type": "absolute", "input_ref_frame": "base"}
    return config


PANDA_ABSOLUTE = register(
    Embodiment(
        name="panda_absolute",
        description="Franka Panda with a parallel gripper, as `panda`; action: absolute end-effector targets (position,"
        " rotation vector) in the robot's base frame",
        state=PANDA.state,
        action=Layout(
            parts=(
                Part(name="position_target", size=3, quantity="position", unit="m"),
                Part(name="rotation_target", size=3, quantity="axis_angle", unit="rad"),
                Part(name="gripper", size=1, quantity="gripper", unit="1"),
            )
        ),
    )
)
SIMULATED_PANDA_ABSOLUTE = SimulatedEmbodiment(
    name=PANDA_ABSOLUTE.name,
    robots=("Panda",),
    arms=ONE_ARM,
    state=arms_state(ONE_ARM),
    actuation=OscActuation,
    controllers=_absolute_targets,
)

ROBOT_PER_SIDE = (Arm(name="right", robot=0), Arm(name="left", robot=1))
SIMULATED_TWO_PANDAS = SimulatedEmbodiment(
    name=TWO_PANDAS.name,
    robots=("Panda", "Panda"),
    arms=ROBOT_PER_SIDE,
    state=arms_state(ROBOT_PER_SIDE),
    actuation=OscActuation,
)
"""Robot 0 is called "right" and robot 1 "left", whichever way the environment stands them."""

SIMULATED_TWO_PANDAS_HANDLESS = SimulatedEmbodiment(
    name=TWO_PANDAS_HANDLESS.name,
    robots=("Panda", "Panda"),
    arms=ROBOT_PER_SIDE,
    state=arms_state(ROBOT_PER_SIDE),
    actuation=OscActuation,
)
SIMULATED_TWO_PANDAS_INSPIRE = SimulatedEmbodiment(
    name=TWO_PANDAS_INSPIRE.name,
    robots=("PandaDexRH", "PandaDexLH"),
    arms=ROBOT_PER_SIDE,
    state=arms_state(ROBOT_PER_SIDE),
    actuation=OscActuation,
)
