"""Commands and grasp poses of the two Inspire hands on Pandas: robot 0 carries the right hand, robot 1 the left.

In the frame of a hand's site the fingers point along -y and the palm faces +z; the thumb is on the -x side of the right
hand and on the +x side of the left.
"""

import numpy as np
from numpy.typing import NDArray

from generators.simulation.experts.waypoints import Pose, pose, turned_z

OPEN = (-1.0,) * 6
"""Little, ring, middle and index finger, thumb bend, thumb turn; -1 is straight, 1 is bent."""
HOOK = (1.0, 1.0, 1.0, 1.0, -1.0, -1.0)
"""Four fingers bent around a bar; the thumb stays out of the way."""

_INWARD = {
    0: np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]]).T,
    1: np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]).T,
}


def hanging(robot: int, yaw_rad: float) -> NDArray[np.float64]:
    """Rotation (3, 3) of the hand with its fingers down and its palm facing inwards, to the other arm (+y for the right
    hand, -y for the left), then turned by a yaw."""
    return np.asarray(turned_z(yaw_rad) @ _INWARD[robot])


def hand_at(point_m: NDArray[np.float64], rotation: NDArray[np.float64], in_hand_m: tuple[float, float, float]) -> Pose:
    """The pose of the hand's site that brings the place `in_hand_m` of its frame to a point of the world."""
    return pose(point_m - rotation @ np.asarray(in_hand_m), rotation)
