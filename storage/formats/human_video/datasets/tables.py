"""Reading what lies beside the videos: CSV tables, JSON files, lists of files. Errors name the file and the line."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError
from storage.formats.untrusted.limits import parse_json, read_text
from storage.formats.video.reader import VIDEO_SUFFIXES


def video_files(root: Path) -> list[Path]:
    """Every video below `root`, sorted by path; hidden files are left out."""
    files = (path for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.name[0] != ".")
    return sorted(files)


def read_json_file(path: Path) -> Any:
    """The content of a JSON file; raises MissingFileError or CorruptFileError."""
    return parse_json(str(path), read_text(path))


def read_json_lines(path: Path, *, needs: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The objects of a file with one JSON object a line, each with the keys `needs`; raises CorruptFileError."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        row = parse_json(f"{path}, line {number}", line)
        if not isinstance(row, dict) or any(key not in row for key in needs):
            raise CorruptFileError(f"{path}, line {number}: expected a JSON object with {', '.join(needs)}")
        yield row


def read_csv_table(path: Path, *, needs: Sequence[str], delimiter: str = ",") -> Iterator[Mapping[str, str]]:
    """The rows of a CSV file with a header that has the columns `needs`. Raises CorruptFileError or
    MissingFileError."""
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    missing = [name for name in needs if name not in (rows.fieldnames or ())]
    if missing:
        raise CorruptFileError(f"{path} has no column {', '.join(missing)}; it has {rows.fieldnames}")
    yield from rows


def seconds_of(clock: str) -> float:
    """Seconds of a time written as "HH:MM:SS.ff", "MM:SS" or "SS"; raises ValueError."""
    seconds = 0.0
    for part in clock.strip().split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
