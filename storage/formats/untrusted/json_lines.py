"""Files of one JSON object a line, as LeRobot and caption files have them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError
from storage.formats.untrusted.limits import LIMITS, parse_json, read_text

_LOG = logging.getLogger(__name__)


def json_lines(path: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of every line; each must have `key`. Raises MissingFileError or CorruptFileError.

    A line ends at "\\n" and nowhere else: U+2028 and its kin may stand within a text.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        if len(line) > LIMITS.line_megabytes * 1e6:
            raise CorruptFileError(f"{where} is longer than {LIMITS.line_megabytes:.0f} MB")
        row = parse_json(where, line)
        if not isinstance(row, dict) or key not in row:
            raise CorruptFileError(f"{where}: expected a JSON object with {key!r}")
        yield number, row


def numbered_rows(path: Path, key: str) -> dict[int, dict[str, Any]]:
    """The rows of a file by the integer under `key`. A line that says the same number again is named and ignored."""
    rows: dict[int, dict[str, Any]] = {}
    for number, row in json_lines(path, key):
        try:
            row[key] = int(row[key])
        except (ValueError, TypeError, OverflowError) as error:
            raise CorruptFileError(f"{path}, line {number}: {key!r} must be an integer ({error})") from error
        if row[key] in rows:
            same = "again" if _equal(rows[row[key]], row) else "again, and says something else"
            _LOG.warning("%s, line %d: %s %d stands there %s; the first one counts", path, number, key, row[key], same)
            continue
        rows[row[key]] = row
    return rows


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return dict(one) == dict(other)
