"""Which object an instruction is about: the first thing that is taken, in plain imperative English."""

import re

_VERBS = (
    "pick up", "pick", "take", "grab", "grasp", "lift", "raise", "rearrange", "move", "put", "place", "stack", "push",
    "pull", "open", "close", "pour", "bring", "carry", "hand over", "set", "turn", "clear", "hold", "insert", "wipe",
)  # fmt: skip
_ENDS = (
    "from", "to", "on", "onto", "in", "into", "inside", "off", "out", "over", "under", "up", "down", "with", "and",
    "then", "at", "next", "beside", "near", "away", "back", "using", "by", "of", "between", "through", "together",
)  # fmt: skip
_VERB = "|".join(sorted(map(re.escape, _VERBS), key=len, reverse=True))
_PHRASE = re.compile(
    rf"\b(?:{_VERB})\s+(?:up\s+)?(?:(?:the|a|an|one|both|that|this)\s+)?(.+?)\s*(?=\b(?:{'|'.join(_ENDS)})\b|[.,;]|$)",
    re.IGNORECASE,
)


def target_of(instruction: str) -> str:
    """The words for the target object in lower case, "" where the instruction names none in a form that is known."""
    match = _PHRASE.search(instruction.strip())
    return " ".join(match[1].lower().split()) if match else ""
