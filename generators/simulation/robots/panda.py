"""Panda arms in simulation: how the embodiments `panda` and `two_pandas` sit in robosuite."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.osc_actuation import OscActuation
from generators.simulation.robots.rotations import rotation_6d
from generators.simulation.task.scene_poses import hand_positions, joint_positions, site_of
from generators.simulation.task.specification import Arm, Environment, SimulatedEmbodiment
from storage.embodiment import PANDA, TWO_PANDAS, TWO_PANDAS_HANDLESS, TWO_PANDAS_INSPIRE


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
