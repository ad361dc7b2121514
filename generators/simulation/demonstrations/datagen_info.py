"""MimicGen's own annotation of a demonstration, `datagen_info` of its HDF5 files.

It says what a replay of the states would have said, so a demonstration whose states cannot be replayed (another
version of the physics, another model) can be multiplied all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class DatagenInfo:
    """Poses (T, 4, 4) in the world of the end effector, of what the controller aimed at, and of every object; hand
    commands (T, H). Keys of the first three are arms, "" in files of a single one."""

    poses: Arrays
    targets: Arrays
    hands: Arrays
    objects: Arrays

    def of_arm(self, kind: str, arm: str) -> NDArray[np.float64] | None:
        """`poses`, `targets` or `hands` of an arm; None where the file has none."""
        arrays: Arrays = getattr(self, kind)
        return arrays.get(arm, arrays.get(""))


def read_datagen_info(demonstration: Any, length: int) -> DatagenInfo | None:
    """The annotation of an HDF5 group `data/demo_<n>`; None where it is missing or not of `length` steps."""
    info = demonstration.get("datagen_info")
    if info is None or not {"eef_pose", "target_pose", "gripper_action", "object_poses"} <= info.keys():
        return None
    made = DatagenInfo(
        poses=_arrays(info["eef_pose"], length),
        targets=_arrays(info["target_pose"], length),
        hands=_arrays(info["gripper_action"], length),
        objects=_arrays(info["object_poses"], length),
    )
    each = [array for arrays in (made.poses, made.targets, made.hands, made.objects) for array in arrays.values()]
    return made if all(len(array) == length and np.isfinite(array).all() for array in each) else None


def _arrays(node: Any, length: int) -> dict[str, NDArray[np.float64]]:
    """A data set as {"": array}, a group as one array a member; a last row beyond `length` is dropped."""
    members = {"": node} if hasattr(node, "shape") else dict(node.items())
    return {name: np.asarray(member, np.float64)[:length] for name, member in members.items()}
