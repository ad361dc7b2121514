"""Proprioception in the observations of robomimic-like files whose robot is none of ours: which keys make up the state.

| robosuite | robot0_eef_pos, robot0_eef_quat (x, y, z, w), robot0_gripper_qpos, robot0_joint_pos; then robot1_... |
| LIBERO    | ee_states (position, axis-angle), gripper_states, joint_states                                      |
| Isaac Lab | eef_pos, eef_quat (w, x, y, z), gripper_pos, joint_pos                                              |
"""

import re
from collections.abc import Iterable

from storage.formats.mapping.column_map import Piece

_ROBOSUITE = ("eef_pos", "eef_quat", "gripper_qpos", "joint_pos")
_OTHERS = (
    ("ee_states", "gripper_states", "joint_states"),
    ("eef_pos", "eef_quat", "gripper_pos", "joint_pos"),
    ("right_eef_pos", "right_eef_quat", "left_eef_pos", "left_eef_quat", "hand_joint_state", "robot_joint_pos"),
)


def usual_state(keys: Iterable[str]) -> tuple[Piece, ...]:
    """The pieces of the state among the data sets `keys` of a demonstration; () where none of these layouts is
    there."""
    there = {key for key in keys if key.startswith("obs/")}
    robots = sorted({match[1] for key in there if (match := re.match(r"obs/(robot\d+_)", key))})
    pieces = [
        Piece(column=f"obs/{robot}{name}", xyzw=name == "eef_quat")
        for robot in robots
        for name in _ROBOSUITE
        if f"obs/{robot}{name}" in there
    ]
    if pieces:
        return tuple(pieces)
    for names in _OTHERS:
        # The first of each layout is its mark.
        if f"obs/{names[0]}" in there:
            return tuple(Piece(column=f"obs/{name}") for name in names if f"obs/{name}" in there)
    return ()
