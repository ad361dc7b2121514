"""Embodiments that follow from a source: one layout has one name on every machine, whatever was imported before it."""

import re

from storage.embodiment import Layout, Part, Quantity
from storage.ids import content_id

_ANONYMOUS = "vector"


def derived_name(robot_type: str, state: Layout, action: Layout) -> str:
    """The robot's type, the two sizes, and a mark of the names where there are any: "so101_6x6_1f3a2b".

    Two layouts of one robot type so get two names, and two types of one layout stay apart.
    """
    name = re.sub(r"[^a-z0-9]+", "_", robot_type.lower()).strip("_") or "robot"
    parts = [(part.name, part.size, part.quantity) for layout in (state, action) for part in layout.parts]
    mark = "" if all(part[0] == _ANONYMOUS for part in parts) else f"_{content_id(state, action)[:6]}"
    return f"{name}_{state.size}x{action.size}{mark}"


def guess_part(name: str, size: int, *, quaternion: bool = False) -> Part:
    """A part of which only the name and size are known; its quantity follows from these where they tell."""
    lower = name.lower()
    quantity: Quantity = "joint"
    if quaternion:
        quantity = "quaternion_wxyz"
    elif "gripper" in lower or "effector" in lower:
        quantity = "gripper"
    elif re.search(r"hand|finger|thumb", lower):
        quantity = "hand"
    elif size == 3 and re.search(r"(eef|ee|tcp|end)_?\w*(pos|xyz|translation)", lower):
        quantity = "position"
    return Part(name=name, size=size, quantity=quantity, unit="1")
