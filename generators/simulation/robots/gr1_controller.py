"""The GR-1's composite controller in robosuite: joint position parts whose action is a vector of joint targets.

robosuite's `WHOLE_BODY_MINK_IK` is not in its wheel. Here inverse kinematics happens before the action, and what
the environment receives, and a data set stores, are the joint targets themselves.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from robosuite.controllers.composite.composite_controller import CompositeController, register_composite_controller

PARTS = ("left", "left_gripper", "right", "right_gripper")


@register_composite_controller
class JointTargets(CompositeController):  # type: ignore[misc]
    """Absolute joint targets in rad for arms and hands, with the joints' own ranges as limits of the action."""

    name = "JOINT_TARGETS"

    @property
    def action_limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low, high) of the action. A hand command reaches past every finger's range, which the actuators clip."""
        low, high = [], []
        for part, controller in self.part_controllers.items():
            if part in self.grippers:
                command = np.full(self.grippers[part].dof, HAND_LIMIT_RAD)
                low.append(-command)
                high.append(command)
            else:
                limits = self.sim.model.jnt_range[controller.joint_index]
                low.append(limits[:, 0])
                high.append(limits[:, 1])
        return np.concatenate(low), np.concatenate(high)


HAND_LIMIT_RAD = 3.0
"""As in GR00T's GR-1 data, where hands are commanded with up to 3 rad."""


def config(*, stiffness_per_s2: float) -> dict[str, Any]:
    """The composite controller config; `stiffness_per_s2` is the joint acceleration per rad of error, damping is
    critical."""
    arm = {
        "type": "JOINT_POSITION",
        "input_type": "absolute",
        "input_max": 1,
        "input_min": -1,
        "output_max": 1,
        "output_min": -1,
        "kp": stiffness_per_s2,
        "damping_ratio": 1,
        "kp_limits": [0, stiffness_per_s2],
        "interpolation": None,
        "ramp_ratio": 0.2,
        "gripper": {"type": "GRIP", "use_action_scaling": False},
    }
    return {
        "type": JointTargets.name,
        "composite_controller_specific_configs": {"body_part_ordering": list(PARTS)},
        "body_parts": {"right": dict(arm), "left": dict(arm)},
    }
