"""The physics of one control step, compiled: MuJoCo's two half steps and, between them, robosuite's part controllers.

MuJoCo is called from compiled code by symbol, so that no Python runs between substeps and the machine code can be
cached on disk. The controllers (operational space control after Khatib 1987 with a posture term in the null space, and
joint-space position control) are computed with robosuite's own compiled functions and in its order of operations, so
that states equal those of `env.step` to the bit: contacts amplify a difference in the last bit a million times within
seconds, and a trajectory must replay in plain robosuite. Factoring the matrices in a cheaper way would save another
11 us a substep, and lose that.
"""

from collections import namedtuple
from pathlib import Path

import llvmlite.binding
import mujoco
import numpy as np
from numba import njit, types
from robosuite.utils import control_utils

# The package loads its library privately; compiled code finds symbols only among those loaded this way.
llvmlite.binding.load_library_permanently(str(next(Path(mujoco.__file__).parent.glob("libmujoco.so*"))))
_address = types.intp
_mj_step1 = types.ExternalFunction("mj_step1", types.void(_address, _address))
_mj_step2 = types.ExternalFunction("mj_step2", types.void(_address, _address))
_mj_jac_site = types.ExternalFunction("mj_jacSite", types.void(*[_address] * 4, types.int32))

Parts = namedtuple(
    "Parts",
    "kind joints site base_site in_base base_moves decoupled compensated dof_index qpos_index actuator gear ctrl_low"
    " ctrl_high stiffness damping posture dof_address dof_parent",
)
Data = namedtuple("Data", "address qpos qvel ctrl bias inertia site_xpos site_xmat")
Goals = namedtuple("Goals", "position rotation joint")
Work = namedtuple("Work", "jacobian_p jacobian_r")
"""What the compiled loop reads and writes: the controllers' parameters, views of MuJoCo's arrays, goals, and room."""

KIND_OSC = 0
KIND_JOINT = 1


@njit(cache=True)
def _mass_block(inertia, dof_address, dof_parent, dofs):  # type: ignore[no-untyped-def]
    """The part's block of the joint-space inertia matrix, from MuJoCo's sparse form; Fortran order, as robosuite's."""
    count = dofs.shape[0]
    block = np.zeros((count, count)).T
    for row in range(count):
        entry = dof_address[dofs[row]]
        walker = dofs[row]
        while walker >= 0:
            for column in range(count):
                if dofs[column] == walker:
                    block[row, column] = inertia[entry]
                    block[column, row] = inertia[entry]
            entry += 1
            walker = dof_parent[walker]
    return block


@njit(cache=True)
def _jacobians(model, data, site, work):  # type: ignore[no-untyped-def]
    """Fill the site's Jacobians over all degrees of freedom; returns its linear and angular velocity, world frame."""
    _mj_jac_site(model, data.address, work.jacobian_p.ctypes.data, work.jacobian_r.ctypes.data, np.int32(site))
    return np.dot(work.jacobian_p, data.qvel), np.dot(work.jacobian_r, data.qvel)


@njit(cache=True)
def _osc_errors(parts, data, goals, part):  # type: ignore[no-untyped-def]
    """Position and orientation error of the end effector, world frame."""
    site, base = parts.site[part], parts.base_site[part]
    position, rotation = goals.position[part], goals.rotation[part]
    if parts.in_base[part]:
        base_rotation = data.site_xmat[base].copy().reshape(3, 3)
        position = data.site_xpos[base] + np.dot(base_rotation, position)
        rotation = np.dot(base_rotation, rotation)
    here = data.site_xmat[site].copy().reshape(3, 3)
    return position - data.site_xpos[site], control_utils.orientation_error(rotation, here)


@njit(cache=True)
def _osc_torque(model, parts, data, goals, part, work):  # type: ignore[no-untyped-def]
    count = parts.joints[part]
    dofs = parts.dof_index[part, :count]
    base_linear, base_angular = np.zeros(3), np.zeros(3)
    if parts.base_moves[part]:
        base_linear, base_angular = _jacobians(model, data, parts.base_site[part], work)
    linear, angular = _jacobians(model, data, parts.site[part], work)
    jacobian = np.empty((6, count))
    for column in range(count):
        for row in range(3):
            jacobian[row, column] = work.jacobian_p[row, dofs[column]]
            jacobian[3 + row, column] = work.jacobian_r[row, dofs[column]]
    joint_position, joint_velocity = np.empty(count), np.empty(count)
    for index in range(count):
        joint_position[index] = data.qpos[parts.qpos_index[part, index]]
        joint_velocity[index] = data.qvel[dofs[index]]

    position_error, rotation_error = _osc_errors(parts, data, goals, part)
    stiffness, damping = parts.stiffness[part], parts.damping[part]
    force = position_error * stiffness[:3] + -(linear - base_linear) * damping[:3]
    torque = rotation_error * stiffness[3:6] + -(angular - base_angular) * damping[3:6]
    mass = _mass_block(data.inertia, parts.dof_address, parts.dof_parent, dofs)
    full, lambda_p, lambda_r, nullspace = control_utils.opspace_matrices(
        mass, jacobian, jacobian[:3].copy(), jacobian[3:].copy()
    )
    wrench = np.empty(6)
    if parts.decoupled[part]:
        wrench[:3] = np.dot(lambda_p, force)
        wrench[3:] = np.dot(lambda_r, torque)
    else:
        wrench[:3] = force
        wrench[3:] = torque
        wrench = np.dot(full, wrench)
    out = np.dot(jacobian.T, wrench)
    for index in range(count):
        out[index] += data.bias[dofs[index]]
    posture = parts.posture[part, :count].copy()
    out += control_utils.nullspace_torques(mass, nullspace, posture, joint_position, joint_velocity)
    return out


@njit(cache=True)
def _joint_torque(parts, data, goals, part):  # type: ignore[no-untyped-def]
    count = parts.joints[part]
    dofs = parts.dof_index[part, :count]
    wish = np.empty(count)
    for index in range(count):
        away = goals.joint[part, index] - data.qpos[parts.qpos_index[part, index]]
        wish[index] = away * parts.stiffness[part, index] + -data.qvel[dofs[index]] * parts.damping[part, index]
    if not parts.compensated[part]:
        return wish
    out = np.dot(_mass_block(data.inertia, parts.dof_address, parts.dof_parent, dofs), wish)
    for index in range(count):
        out[index] += data.bias[dofs[index]]
    return out


@njit(cache=True)
def _control(model, parts, data, goals, work):  # type: ignore[no-untyped-def]
    for part in range(parts.kind.shape[0]):
        if parts.kind[part] == KIND_OSC:
            torque = _osc_torque(model, parts, data, goals, part, work)
        else:
            torque = _joint_torque(parts, data, goals, part)
        for index in range(parts.joints[part]):
            actuator = parts.actuator[part, index]
            value = torque[index] / parts.gear[part, index]
            data.ctrl[actuator] = min(max(value, parts.ctrl_low[part, index]), parts.ctrl_high[part, index])


@njit(cache=True)
def control_step(model, parts, data, goals, work, substeps):  # type: ignore[no-untyped-def]
    """`substeps` physics steps towards the goals. Wants fresh derived quantities and leaves them fresh."""
    for _ in range(substeps):
        _control(model, parts, data, goals, work)
        _mj_step2(model, data.address)
        _mj_step1(model, data.address)
