"""robosuite's part controllers, read into arrays for the compiled step loop."""

from collections import namedtuple
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robosuite.controllers.composite.composite_controller import CompositeController
from robosuite.controllers.parts.arm.osc import OperationalSpaceController
from robosuite.controllers.parts.generic.joint_pos import JointPositionController
from robosuite.controllers.parts.gripper.simple_grip import SimpleGripController
from robosuite.environments.base import MujocoEnv
from robosuite.environments.robot_env import RobotEnv
from robosuite.robots.fixed_base_robot import FixedBaseRobot
from robosuite.robots.legged_robot import LeggedRobot

from generators.simulation.stepping import substeps
from generators.simulation.stepping.substeps import Goals, Parts
from generators.simulation.task.specification import Environment

ControlledPart = namedtuple("ControlledPart", "robot controller plain count actuators qpos dofs site")


def controlled_parts(environment: Environment) -> list[ControlledPart]:
    """Every part of every robot that the compiled loop controls."""
    controlled = []
    model = environment.sim.model._model
    for robot in environment.robots:
        composite = robot.composite_controller
        for name, controller in composite.part_controllers.items():
            if isinstance(controller, SimpleGripController) or not robot._enabled_parts.get(name, False):
                continue
            controlled.append(
                ControlledPart(
                    robot=robot,
                    controller=controller,
                    plain=type(composite).set_goal is CompositeController.set_goal,
                    count=len(controller.qpos_index),
                    actuators=np.asarray(robot._ref_actuators_indexes_dict[name]),
                    qpos=np.asarray(controller.qpos_index),
                    dofs=np.asarray(controller.qvel_index),
                    site=model.site(controller.ref_name).id if isinstance(controller.ref_name, str) else -1,
                )
            )
    return controlled


def goals_for(parts: Parts) -> Goals:
    rows, width = parts.posture.shape
    return Goals(np.zeros((rows, 3)), np.tile(np.eye(3), (rows, 1, 1)), np.zeros((rows, width)))


def parts_of(controlled: list[ControlledPart], model: Any) -> Parts:
    rows, width = len(controlled), max([6, *(part.count for part in controlled)])

    def integers(*shape: int) -> NDArray[np.int64]:
        return np.zeros(shape, dtype=np.int64)

    parts = Parts(
        **{name: integers(rows) for name in ("kind", "joints", "site", "base_site")},
        **{name: np.zeros(rows, dtype=np.bool_) for name in ("in_base", "base_moves", "decoupled", "compensated")},
        **{name: integers(rows, width) for name in ("dof_index", "qpos_index", "actuator")},
        **{name: np.zeros((rows, width)) for name in ("ctrl_low", "ctrl_high", "stiffness", "damping", "posture")},
        gear=np.ones((rows, width)),
        dof_address=np.array(model.dof_Madr, dtype=np.int64),
        dof_parent=np.array(model.dof_parentid, dtype=np.int64),
    )
    for row, part in enumerate(controlled):
        _fill(parts, row, part, model)
    return parts


def _fill(parts: Parts, row: int, part: ControlledPart, model: Any) -> None:
    controller, count = part.controller, part.count
    osc = isinstance(controller, OperationalSpaceController)
    parts.kind[row] = substeps.KIND_OSC if osc else substeps.KIND_JOINT
    parts.joints[row] = count
    parts.dof_index[row, :count], parts.qpos_index[row, :count] = part.dofs, part.qpos
    parts.actuator[row, :count] = part.actuators
    parts.ctrl_low[row, :count] = model.actuator_ctrlrange[part.actuators, 0]
    parts.ctrl_high[row, :count] = model.actuator_ctrlrange[part.actuators, 1]
    if isinstance(part.robot, LeggedRobot):
        parts.gear[row, :count] = model.actuator_gear[part.actuators, 0]
    parts.stiffness[row, : len(controller.kp)], parts.damping[row, : len(controller.kd)] = controller.kp, controller.kd
    if osc:
        _fill_osc(parts, row, part, model)
    else:
        parts.compensated[row] = controller.use_torque_compensation


def _fill_osc(parts: Parts, row: int, part: ControlledPart, model: Any) -> None:
    controller = part.controller
    parts.posture[row, : part.count] = controller.initial_joint
    parts.decoupled[row] = controller.uncoupling
    parts.in_base[row] = controller.input_ref_frame == "base"
    parts.site[row] = part.site
    base = model.site(f"{controller.naming_prefix}{controller.part_name}_center").id
    parts.base_site[row] = base
    parts.base_moves[row] = model.body_weldid[model.site_bodyid[base]] != 0


def why_not_compiled(environment: Environment) -> str:
    """Why an environment cannot be stepped by the compiled loop; empty when it can."""
    if type(environment).step is not MujocoEnv.step:
        return f"{type(environment).__name__} overrides step"
    if type(environment)._pre_action is not RobotEnv._pre_action:
        return f"{type(environment).__name__} overrides _pre_action"
    if not environment.lite_physics:
        return "lite_physics is off"
    for robot in environment.robots:
        if type(robot).control not in (FixedBaseRobot.control, LeggedRobot.control):
            return f"{type(robot).__name__} has a control loop of its own"
        if type(robot.composite_controller).run_controller is not CompositeController.run_controller:
            return f"{type(robot.composite_controller).__name__} overrides run_controller"
        for name, controller in robot.composite_controller.part_controllers.items():
            if reason := _why_not_part(controller):
                return f"part {name!r}: {reason}"
    return ""


def _why_not_part(controller: Any) -> str:
    if type(controller) is SimpleGripController:
        return "" if controller.interpolator is None else "an interpolated gripper"
    if type(controller) is OperationalSpaceController:
        known = controller.interpolator_pos is None and controller.interpolator_ori is None
        known = known and controller.position_limits is None and controller.orientation_limits is None
    elif type(controller) is JointPositionController:
        known = controller.interpolator is None and controller.position_limits is None
    else:
        return f"{type(controller).__name__} is not compiled"
    return "" if known and controller.impedance_mode == "fixed" else "limits, interpolators or variable impedance"
