"""Names under which people store state, action and instruction, so that no mapping is needed for them.

Only names that mean one thing in every public source that we know are listed; anything else waits for a mapping.
"""

from collections.abc import Iterable, Sequence

STATE_COLUMNS: tuple[str, ...] = (
    "observation.state",
    "observation.states",
    "observation/state",
    "state",
    "observations/qpos",
    "observation.qpos",
    "obs/qpos",
    "qpos",
    "observation.proprio",
    "proprio",
)
ACTION_COLUMNS: tuple[str, ...] = ("action", "actions", "observation.action")
STATE_PREFIXES: tuple[str, ...] = ("observation.states.", "observation.state.", "states.", "state.", "state/")
ACTION_PREFIXES: tuple[str, ...] = ("actions.", "action.", "action/", "actions/")
INSTRUCTION_COLUMNS: tuple[str, ...] = (
    "language_instruction",
    "natural_language_instruction",
    "instruction",
    "task_description",
    "language",
    "prompt",
    "task",
)


def usual_columns(names: Iterable[str], whole: Sequence[str], prefixes: Sequence[str]) -> tuple[str, ...]:
    """The columns that make up a vector: the one of a usual name, or all below one usual prefix, in their order."""
    there = list(names)
    for name in whole:
        if name in there:
            return (name,)
    for prefix in prefixes:
        parts = tuple(name for name in there if name.startswith(prefix))
        if parts:
            return parts
    return ()


def usual_instruction(names: Iterable[str]) -> str:
    """The column of text that is the instruction by its name (its last part), or ""."""
    there = list(names)
    for wanted in INSTRUCTION_COLUMNS:
        for name in there:
            if name == wanted or name.replace("/", ".").split(".")[-1] == wanted:
                return name
    return ""
