"""A guess of the mapping that a source wants, from the names and widths of its columns: a draft for a person to
check."""

import re
from collections.abc import Sequence

from storage.formats.mapping.fates import Fate

_STATE = re.compile(
    r"(^|[./_])obs(ervations?)?[./]|qpos|proprio|(?<!inter)state|joint|eef|tcp|pose|gripper", re.IGNORECASE
)
_ACTION = re.compile(r"(^|[./_])(act|action|actions|command|target|control|ctrl|cmd)($|[./_s])", re.IGNORECASE)
_NEITHER = re.compile(r"vel|effort|torque|reward|done|success|object|time|index|terminated|truncated", re.IGNORECASE)


def guess_mapping(fates: Sequence[Fate]) -> dict[str, str]:
    """WHAT -> column, for state, action, cameras and instruction: what was recognised, and otherwise what looks like
    it."""
    out: dict[str, str] = {}
    loose = [fate.column for fate in fates if fate.became == "foreign" and fate.width >= 1]
    actions = [fate.column for fate in fates if fate.became == "action"] or [c for c in loose if _ACTION.search(c)]
    states = [fate.column for fate in fates if fate.became == "state" and fate.detail != "simulation/state"]
    if not states:
        states = [c for c in loose if c not in actions and _STATE.search(c) and not _NEITHER.search(c)]
    if states:
        out["state"] = ", ".join(dict.fromkeys(states))
    if actions:
        out["action"] = ", ".join(dict.fromkeys(actions))
    for fate in fates:
        if fate.became in ("camera", "depth") and fate.detail.startswith("video/"):
            out[f"camera.{fate.detail.removeprefix('video/').partition(';')[0]}"] = fate.column
        if fate.became == "text" and fate.detail == "instruction":
            out["instruction"] = fate.column
    return out
