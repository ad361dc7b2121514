"""What people decided about episodes: one JSON line a decision, appended and brought to the disk before it counts.

    reviews/decisions.jsonl    {"episode_id": "...", "accept": false, "caption": "", "note": "", "judges": {...}}

The last line about an episode counts. Each carries a checksum ("_seal"); a line that a killed program left half
written, or that has changed, is skipped, and named in the log and by `pyramid data verify`.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from storage.errors import SchemaError
from storage.seals import KEY, PLACEHOLDER, check_seal, sealed

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
        record = {**asdict(decision), KEY: PLACEHOLDER}
        line = sealed(json.dumps(record, ensure_ascii=False, sort_keys=True).encode())
        # One write: a line is there whole, or torn at the end where the next one starts on a line of its own.
        os.write(handle, (b"\n" if torn else b"") + line + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def decisions_of(root: Path) -> dict[str, Decision]:
    """Episode id -> the decision that counts: the last word on acceptance, and the last caption."""
    decisions: dict[str, Decision] = {}
    for number, decision in _lines(root):
        if isinstance(decision, str):
            _LOG.warning("%s, line %d is not a decision and is skipped: %s", root / FILE, number, decision)
            continue
        before = decisions.get(decision.episode_id)
        accept = decision.accept if decision.accept is not None or before is None else before.accept
        caption = decision.caption or (before.caption if before else "")
        decisions[decision.episode_id] = replace(decision, accept=accept, caption=caption)
    return decisions


def damaged_lines(root: Path) -> dict[int, str]:
    """Line number -> why that line of the file is no decision."""
    return {number: decision for number, decision in _lines(root) if isinstance(decision, str)}


def _lines(root: Path) -> Iterator[tuple[int, Decision | str]]:
    """Each line that says something: its number, and the decision or why it is none."""
    try:
        content = (root / FILE).read_bytes()
    except FileNotFoundError:
        return
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            try:
                yield number, _decision(line, root / FILE)
            except (ValueError, TypeError, RecursionError) as error:
                yield number, f"{line[:80].decode(errors='replace')} ({error})"


def _decision(line: bytes, path: Path) -> Decision:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise SchemaError("not a JSON object")
    if record.pop(KEY, None) is not None:  # lines of older programs have none
        check_seal(line, path)
    decision = Decision(**record)
    texts = (decision.episode_id, decision.caption, decision.note)
    if not all(isinstance(text, str) for text in texts) or decision.accept not in (None, True, False):
        raise SchemaError("a decision holds texts, and accepts or refuses")
    return decision


def people_of(root: Path) -> dict[str, bool]:
    """Episode id -> whether a person accepted it, for the episodes that a person decided about."""
    decisions = decisions_of(root)
    return {name: decision.accept for name, decision in decisions.items() if decision.accept is not None}
