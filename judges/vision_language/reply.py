"""Replies of a model: one JSON object, read strictly. What does not read is no verdict."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.errors import InputError

WORDS: Mapping[str, bool | None] = {"yes": True, "no": False, "unsure": None}
LONGEST_REASON = 400
BEFORE_ANSWER = re.compile(r'"answer"\s*:\s*"\s*$')
"""Where, in a reply that is being written, the answer comes next: there a model's probability of "yes" is read."""

_OBJECT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 80},
        **{name: {"enum": list(WORDS)} for name in ("there", "moved", "whole")},
    },
    "required": ["name"],
}
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "verdict": {
        "type": "object",
        "properties": {
            "objects": {"type": "array", "maxItems": 12, "items": _OBJECT},
            "failed_step": {"type": "string", "maxLength": 200},
            "reason": {"type": "string", "maxLength": LONGEST_REASON},
            "answer": {"enum": list(WORDS)},
        },
        "required": ["answer"],
    },
    "caption": {
        "type": "object",
        "properties": {"caption": {"type": "string", "maxLength": 300}},
        "required": ["caption"],
    },
}
"""What a reply must look like, as JSON schema; servers that can are asked to keep to it."""


class UnreadableReplyError(InputError):
    """A reply that is not what was asked for."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model said. `answer` is None for "unsure"; `caption` is set by captions alone."""

    answer: bool | None = None
    reason: str = ""
    failed_step: str = ""
    objects: tuple[Mapping[str, str], ...] = field(default_factory=tuple)
    caption: str = ""


def read_reply(text: str, schema: str) -> Reply:
    """The reply in `text`, in which one JSON object may stand among other words; raises UnreadableReplyError."""
    record = _object_in(text)
    if schema == "caption":
        caption = record.get("caption")
        if not isinstance(caption, str) or not caption.strip():
            raise UnreadableReplyError(f'expected {{"caption": "..."}}; got {_short(text)}')
        return Reply(caption=" ".join(caption.split())[:300])
    word = record.get("answer")
    if not isinstance(word, str) or word.strip().lower() not in WORDS:
        raise UnreadableReplyError(f'expected an "answer" of yes, no or unsure; got {_short(text)}')
    objects = record.get("objects", [])
    kept = [
        {str(key)[:20]: str(value).strip()[:80] for key, value in one.items()}
        for one in (objects if isinstance(objects, list) else [])[:12]
        if isinstance(one, dict)
    ]
    return Reply(
        answer=WORDS[word.strip().lower()],
        reason=str(record.get("reason", "")).strip()[:LONGEST_REASON],
        failed_step=str(record.get("failed_step", "")).strip()[:200],
        objects=tuple(kept),
    )


def _object_in(text: str) -> dict[str, Any]:
    """The last JSON object of `text` that is not inside another: a model may think aloud before it answers."""
    decoder, last, at = json.JSONDecoder(), None, text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        last = value if isinstance(value, dict) else last
        at = text.find("{", end)
    if last is None:
        raise UnreadableReplyError(f"expected one JSON object; got {_short(text)}")
    return last


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:80]} ... {text[-30:]} ({len(text)} characters)")
