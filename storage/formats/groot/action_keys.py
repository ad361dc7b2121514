"""How each action key of a data set is given to GR00T N1.6 and N1.7: absolute, or relative to the state of the same
key.

Targets of joints whose state has the same key and width are relative, as in NVIDIA's own configs; grippers and hands
are absolute; what is a change already (a delta) stays as it is. A pose (xyz and the six numbers of a rotation) is
relative by inverse(T_state) x T_action, where the version can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from storage.embodiment import Embodiment
from storage.formats.groot.versions import GrootRules

_POSE_SIZE = 9
_CHANGES = ("position_delta", "axis_angle_delta")
_HELD = ("gripper", "hand")


@dataclass(frozen=True, kw_only=True)
class ActionKey:
    """`start` and `end` in the column `action`; `state` is the span of its reference in observation.state, or None."""

    name: str
    start: int
    end: int
    kind: Literal["absolute", "relative joints", "relative pose"]
    state: tuple[int, int] | None = None


def action_keys(modality: Mapping[str, Any], embodiment: Embodiment, rules: GrootRules) -> list[ActionKey]:
    """The action keys of modality.json, in its order."""
    states: Mapping[str, Any] = modality.get("state", {})
    keys = []
    for name, entry in modality.get("action", {}).items():
        span = int(entry["start"]), int(entry["end"])
        reference = states.get(name)
        state = (int(reference["start"]), int(reference["end"])) if reference else None
        kind = _kind(name, entry, span, state, (embodiment, rules))
        keys.append(
            ActionKey(name=name, start=span[0], end=span[1], kind=kind, state=None if kind == "absolute" else state)
        )
    return keys


def _kind(
    name: str,
    entry: Mapping[str, Any],
    span: tuple[int, int],
    state: tuple[int, int] | None,
    known: tuple[Embodiment, GrootRules],
) -> Literal["absolute", "relative joints", "relative pose"]:
    embodiment, rules = known
    if not rules.relative or state is None or state[1] - state[0] != span[1] - span[0]:
        return "absolute"
    quantities = {part.quantity for part, at in embodiment.action if at.start < span[1] and at.stop > span[0]}
    lower = name.lower()
    held = bool(quantities & set(_HELD)) or any(word in lower for word in ("gripper", "hand", "finger"))
    if held or entry.get("absolute") is False or quantities & set(_CHANGES):
        return "absolute"
    if "9d" in lower and span[1] - span[0] == _POSE_SIZE:
        return "relative pose" if rules.relative_poses else "absolute"
    return "relative joints" if quantities <= {"joint"} and not entry.get("rotation_type") else "absolute"
