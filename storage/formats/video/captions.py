"""Captions of a folder of videos, in the forms that people have them: jsonl, csv, txt beside the file, file names.

captions.jsonl                 one JSON object a line with "file" and a text
captions.csv, metadata.csv     a header; one column names the file, another one holds the text
<clip>.txt                     beside <clip>.mp4
3_pick_up_the_cup.mp4          GR00T-Dreams: a number, then the instruction with underscores (asked for: "names")
"""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from storage.errors import CorruptFileError, SchemaError
from storage.formats.untrusted.limits import read_text

TABLES = ("captions.csv", "metadata.csv")
TEXT_KEYS = ("instruction", "caption", "text", "prompt")
FILE_KEYS = ("file", "file_name", "video", "video_path", "path")
_DREAMS_NAME = re.compile(r"\d+_(.+)")


def captions_in(folder: Path, sources: Iterable[str], *, names: bool = False) -> dict[str, dict[str, Any]]:
    """File -> its caption row {"instruction": ...}, for the files `sources` (paths below `folder`) that have one in a
    csv table, a txt file or, with `names`, in their own name. Raises CorruptFileError for what cannot be read."""
    rows: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        if (folder / table).is_file():
            rows.update(read_table(folder / table))
            break
    for source in sources:
        beside = (folder / source).with_suffix(".txt")
        if source not in rows and beside.is_file():
            rows[source] = {"instruction": " ".join(read_text(beside).split())}
        elif source not in rows and names and (match := _DREAMS_NAME.fullmatch(Path(source).stem)):
            rows[source] = {"instruction": " ".join(match[1].replace("_", " ").split())}
    return rows


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """File -> row of a csv table; raises CorruptFileError or SchemaError."""
    try:
        reader = csv.DictReader(read_text(path).splitlines(), strict=True)
        lines = list(reader)
    except csv.Error as error:
        raise CorruptFileError(f"{path} is no csv table: {error}") from error
    header = [name.strip() for name in reader.fieldnames or ()]
    file_key = next((name for name in FILE_KEYS if name in header), None)
    text_key = next((name for name in TEXT_KEYS if name in header), None)
    if file_key is None or text_key is None:
        raise SchemaError(
            f"{path} needs a column for the file ({', '.join(FILE_KEYS)}) and one for the text"
            f" ({', '.join(TEXT_KEYS)}); it has {', '.join(header) or 'no header'}"
        )
    return {str(Path(line[file_key])): {"instruction": line[text_key] or ""} for line in lines if line[file_key]}


def unmatched(rows: Mapping[str, Any], sources: Iterable[str]) -> list[str]:
    """Captions that speak of no file that is there."""
    there = set(sources)
    return sorted(name for name in rows if name not in there)
