"""Narrations as instructions: tags and actors taken off, the first verb in the imperative.

"#C C picks up the knife" (Ego4D) becomes "pick up the knife". A text without an actor in front is only trimmed.
"""

import re

_TAG = re.compile(r"#\s*\w+")
_ACTOR = re.compile(
    r"^(?:(?:[Tt]he |[Aa] )?(?:camera wearer|person|man|woman|student|user|instructor|participant|he|she)(?: [A-Z]\b)?"
    r"|[A-Z]\b)\s+"
)
_WITH_ES = ("sses", "shes", "ches", "xes", "zes", "oes")
_IRREGULAR = {"is": "be", "has": "have", "does": "do", "goes": "go"}
_NO_INFLECTION = frozenset({"press", "pass", "toss", "cross", "dress", "guess"})


def cleaned(narration: str) -> str:
    """The instruction in `narration`, "" where it says nothing."""
    text = " ".join(_TAG.sub(" ", narration).split()).strip(" .,;:\"'")
    without = _ACTOR.sub("", text, count=1)
    if without != text:
        verb, _, rest = without.partition(" ")
        text = f"{imperative(verb)} {rest}".strip()
    if text.lower() in ("", "unsure", "#unsure", "none", "n/a"):
        return ""
    return text[0].lower() + text[1:] if text[1:2].islower() or len(text) == 1 else text


def imperative(verb: str) -> str:
    """The plain form of a verb in the third person: "carries" -> "carry"."""
    lower = verb.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if lower in _NO_INFLECTION or not lower.endswith("s") or lower.endswith("ss") or len(lower) < 4:
        return lower
    if lower.endswith("ies"):
        return lower[:-3] + "y" if len(lower) > 4 else lower[:-1]
    return lower[:-2] if lower.endswith(_WITH_ES) else lower[:-1]
