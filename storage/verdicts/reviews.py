"""What people decided about episodes: one JSON line a decision, appended and brought to the disk before it counts.

    reviews/decisions.jsonl    {"episode_id": "...", "accept": false, "caption": "", "note": "", "judges": {...}}

The last line about an episode counts. A line that a killed program left half written is skipped, and named in the log.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.errors import SchemaError

_LOG = logging.getLogger(__name__)
FILE = Path("reviews") / "decisions.jsonl"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision: `accept` keeps or refuses the episode (None: only its caption was edited). `caption` is the
    instruction as the person wrote it, "" where it stays. `judges` is what the judges said then, for calibration."""

    episode_id: str
    accept: bool | None = None
    caption: str = ""
    note: str = ""
    judges: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.accept is None and not self.caption:
            raise SchemaError(f"a decision accepts, refuses or edits a caption; got {self}")


def append_decision(root: Path, decision: Decision) -> None:
    """Append `decision`, and return when it is on the disk."""
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        line = json.dumps(asdict(decision), ensure_ascii=False, sort_keys=True) + "\n"
        # One write: a line is there whole, or torn at the end where the next one starts on a line of its own.
        os.write(handle, ("\n" if torn else "").encode() + line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def decisions_of(root: Path) -> dict[str, Decision]:
    """Episode id -> the decision that counts: the last word on acceptance, and the last caption."""
    try:
        lines = (root / FILE).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, Decision] = {}
    for number, line in enumerate(lines, 1):
        try:
            decision = Decision(**json.loads(line))
        except (ValueError, TypeError):
            if line.strip():
                _LOG.warning("%s, line %d is not a decision and is skipped: %.80s", root / FILE, number, line)
            continue
        before = found.get(decision.episode_id)
        accept = decision.accept if decision.accept is not None or before is None else before.accept
        caption = decision.caption or (before.caption if before else "")
        found[decision.episode_id] = Decision(**{**asdict(decision), "accept": accept, "caption": caption})
    return found


def people_of(root: Path) -> dict[str, bool]:
    """Episode id -> whether a person accepted it, for the episodes that a person decided about."""
    decisions = decisions_of(root)
    return {name: decision.accept for name, decision in decisions.items() if decision.accept is not None}
