"""One control step of a robosuite environment at a fraction of what `env.step` costs, with the same result.

`env.step` spends three quarters of its time in Python between substeps: controllers, observables, action limits. Here
the controllers of an environment are read once into arrays and the substeps run compiled (see `substeps`); observables
are not computed at all. `env.step` remains the oracle (tests hold the states equal) and the fallback: an environment
or controller that is not recognised is stepped by it.

What is compiled: robots that use robosuite's `BASIC` composite controller or one whose `set_goal` may be called once a
control step, with parts OSC_POSE, OSC_POSITION and JOINT_POSITION of fixed impedance without interpolators, and GRIP.
"""

import logging
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from robosuite.controllers.parts.gripper.simple_grip import SimpleGripController
from robosuite.environments.base import MujocoEnv
from robosuite.robots.legged_robot import LeggedRobot

from generators.simulation.stepping import substeps
from generators.simulation.stepping.controller_parameters import controlled_parts, goals_for, parts_of, why_not_compiled
from generators.simulation.stepping.substeps import Data, Work
from generators.simulation.task.specification import Action, Environment
from storage.errors import BrokenSimulationError

logger = logging.getLogger(__name__)

_BAD_WARNINGS = (
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
)


class StepLoop:
    """Steps one environment. Call `rebind` after every `env.reset()`: robosuite makes new controllers there.

    `reason` says why the environment is stepped by `env.step`; empty when compiled.
    """

    def __init__(self, environment: Environment, *, allow_compiled: bool = True) -> None:
        self.environment = environment
        self.reason = why_not_compiled(environment) if allow_compiled else "the task asks for env.step"
        self._hooked = type(environment)._post_action is not MujocoEnv._post_action
        if self.reason:
            logger.info("%s is stepped by env.step: %s", type(environment).__name__, self.reason)
        self.rebind()

    @property
    def compiled(self) -> bool:
        return not self.reason

    def rebind(self) -> None:
        """Read the controllers anew and make the derived quantities fresh."""
        environment = self.environment
        environment.sim.step1()
        self._first = True
        if self.reason:
            return
        model, data = environment.sim.model._model, environment.sim.data._data
        self._model, self._data = model, data
        self._substeps = int(environment.control_timestep / environment.model_timestep)
        self._controlled = controlled_parts(environment)
        self._parts = parts_of(self._controlled, model)
        self._goals = goals_for(self._parts)
        self._work = Work(
            jacobian_p=np.zeros((3, model.nv)),
            jacobian_r=np.zeros((3, model.nv)),
        )
        self._view = Data(
            data._address, data.qpos, data.qvel, data.ctrl, data.qfrc_bias, data.qM, data.site_xpos, data.site_xmat
        )
        self._warnings = _bad(data)

    def step(self, action: Action) -> None:
        """One control step with an environment action. Leaves every derived quantity fresh.

        Raises BrokenSimulationError when the environment raises or the physics diverges (NaN, enormous velocities).
        """
        if self.reason:
            self._step_environment(action)
        else:
            self._step_compiled(np.array(action, dtype=np.float64))
        state = self.environment.sim.data._data
        if not (np.isfinite(state.qpos).all() and np.isfinite(state.qvel).all()) or _bad(state) != self._warnings:
            raise BrokenSimulationError(f"the physics diverged (NaN or huge velocity) at {state.time:.3f} s")

    def _step_environment(self, action: Action) -> None:
        self._warnings = _bad(self.environment.sim.data._data)
        try:
            self.environment.step(np.asarray(action, dtype=np.float64))
        except Exception as error:  # anybody's environment may raise anything; it costs one attempt
            raise BrokenSimulationError(f"env.step raised {type(error).__name__}: {error}") from error
        self.environment.sim.step1()

    def _step_compiled(self, action: NDArray[np.float64]) -> None:
        environment, left = self.environment, self._substeps
        if self._first and self._stale():
            # Right after a reset robosuite's controllers still hold what they read before the scene was complete, and
            # use it for one substep; that substep is theirs, so that the states agree.
            environment._pre_action(action, policy_step=True)
            environment.sim.step2()
            environment.sim.step1()
            left -= 1
        else:
            self._set_goals(action)
        self._first = False
        self._read_goals()
        substeps.control_step(self._model._address, self._parts, self._view, self._goals, self._work, left)
        environment.timestep += 1
        environment.cur_time += environment.control_timestep
        if self._hooked:
            environment._post_action(action)

    def _stale(self) -> bool:
        return any(not part.new_update for robot in self.environment.robots for part in robot.part_controllers.values())

    def _set_goals(self, action: NDArray[np.float64]) -> None:
        """Let robosuite's controllers turn the action into goals; spare them the matrices that goals do not need."""
        view, start = self._view, 0
        for row, part in enumerate(self._controlled):
            controller = part.controller
            controller.joint_pos, controller.joint_vel = view.qpos[part.qpos], view.qvel[part.dofs]
            if self._parts.kind[row] == substeps.KIND_OSC:
                controller.ref_pos[:] = view.site_xpos[part.site]
                controller.ref_ori_mat[:] = view.site_xmat[part.site].reshape(3, 3)
            controller.new_update = not part.plain
        for robot in self.environment.robots:
            composite = robot.composite_controller
            composite.update_state()
            composite.set_goal(action[start : start + robot.action_dim])
            start += robot.action_dim
            self._set_hands(robot)
        for part in self._controlled:
            part.controller.new_update = True

    def _set_hands(self, robot: Any) -> None:
        """Hand commands stand still during a control step, so they are written once."""
        for name, controller in robot.part_controllers.items():
            if isinstance(controller, SimpleGripController):
                actuators = robot._ref_actuators_indexes_dict[name]
                command = controller.run_controller()
                if isinstance(robot, LeggedRobot):
                    command = command / self._model.actuator_gear[actuators, 0]
                ranges = self._model.actuator_ctrlrange[actuators]
                self._view.ctrl[actuators] = np.clip(command, ranges[:, 0], ranges[:, 1])

    def _read_goals(self) -> None:
        for row, part in enumerate(self._controlled):
            if self._parts.kind[row] == substeps.KIND_OSC:
                self._goals.position[row] = part.controller.goal_pos
                self._goals.rotation[row] = part.controller.goal_ori
            else:
                self._goals.joint[row, : part.count] = part.controller.goal_qpos


def _bad(data: Any) -> int:
    """How often MuJoCo has found the state broken (it then resets it silently)."""
    return int(sum(data.warning[kind].number for kind in _BAD_WARNINGS))
