"""The one limit of what an untrusted input may cost: every reader of foreign files asks here.

A recording that people make stays far below; what is above was made to hurt, or is damaged. Each check raises an
InputError that says what was allowed and what came, so that such a file costs itself alone.
"""

import json
import string
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from storage.errors import CorruptFileError, InputError, MissingFileError


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """Sizes of what one item may hold. `gap_s` is the longest silence between two frames or stamps of one recording,
    `seconds` the time that looking into one damaged HDF5 file may take."""

    text_megabytes: float = 512.0
    line_megabytes: float = 16.0
    json_depth: int = 64
    table_megabytes: float = 1024.0
    array_megabytes: float = 1024.0
    image_megapixels: float = 64.0
    objects: int = 100_000
    depth: int = 32
    gap_s: float = 600.0
    steps: int = 10_000_000
    seconds: float = 8.0


LIMITS = InputLimits()
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def check_steps(where: str, steps: int) -> None:
    """Raise CorruptFileError for an episode of no or of absurdly many steps."""
    if not 0 < steps <= LIMITS.steps:
        raise CorruptFileError(f"{where}: an episode has 1 to {LIMITS.steps} steps; got {steps}")


def check_array(where: str, shape: tuple[int, ...], bytes_each: int) -> None:
    """Raise CorruptFileError for an array that is larger than an episode's can be."""
    megabytes = bytes_each / 1e6
    for size in shape:
        megabytes *= size
    if megabytes > LIMITS.array_megabytes:
        raise CorruptFileError(
            f"{where} takes {megabytes:.0f} MB (shape {shape}); one array of an episode takes at most "
            f"{LIMITS.array_megabytes:.0f} MB"
        )


def check_image(where: str, height_px: int, width_px: int) -> None:
    """Raise CorruptFileError for an image of no or of absurdly many pixels."""
    if not 0 < height_px * width_px <= LIMITS.image_megapixels * 1e6:
        raise CorruptFileError(
            f"{where}: an image of {width_px}x{height_px} px; at most {LIMITS.image_megapixels:.0f} megapixels are read"
        )


def check_encoded_image(where: str, content: bytes) -> None:
    """Raise CorruptFileError for a PNG or JPEG whose header promises more pixels than are read; others pass."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) >= 26:
        width, height, bits, colours = struct.unpack(">IIBB", content[16:26])
        check_image(where, height, width)
        # Deflate packs at most 1032 bytes into one (RFC 1951): what promises more is cut off or damaged.
        raw = height * width * bits * _PNG_CHANNELS.get(colours, 4) / 8
        if raw > 1032 * len(content):
            raise CorruptFileError(
                f"{where}: {len(content)} bytes cannot hold the {width}x{height} px that they promise"
            )
        # A decoder makes room for whatever length a piece claims.
        at = 8
        while at + 8 <= len(content):
            at += 12 + int.from_bytes(content[at : at + 4], "big")
        if at > len(content):
            raise CorruptFileError(f"{where}: a PNG that is cut off or damaged; fetch or record it again")
    elif content[:2] == b"\xff\xd8":
        at = 2
        while at + 9 < len(content) and content[at] == 0xFF:
            marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack(">HH", content[at + 5 : at + 9])
                check_image(where, height, width)
                return
            at += 2 + length


def inside(root: Path, relative: str) -> Path:
    """`root`/`relative`; raises InputError for a path that leaves the folder."""
    parts = PurePosixPath(relative.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in relative:
        raise InputError(
            f"{root}: its metadata point at {relative!r}, outside of its folder; such a data set is refused"
        )
    return root / relative


def fill_template(where: str, template: str, **values: Any) -> str:
    """`template` with `values` for its fields; raises CorruptFileError for other fields or formats than `{x}`,
    `{x:03d}`."""
    try:
        for _, name, form, conversion in string.Formatter().parse(template):
            if name is not None and (name not in values or conversion or not _plain_form(form or "")):
                raise ValueError(f"field {{{name}{':' + form if form else ''}}}")
        return template.format(**values)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise CorruptFileError(f"{where} is missing or malformed ({error})") from error


def _plain_form(form: str) -> bool:
    return not form or (form.rstrip("d").isdigit() and int(form.rstrip("d")) < 100)


def regular(path: Path, expected: str) -> Path:
    """`path`; raises MissingFileError unless it is a file: a pipe or a device would be read without end."""
    if not path.is_file():
        came = "is no file" if path.exists() else "is not there"
        raise MissingFileError(f"{path} {came}; expected {expected}")
    return path


def read_text(path: Path) -> str:
    """The text of a small file, with or without a byte-order mark; raises MissingFileError or CorruptFileError."""
    regular(path, "a file of text")
    size = path.stat().st_size / 1e6
    if size > LIMITS.text_megabytes:
        raise CorruptFileError(f"{path} has {size:.0f} MB; metadata may have {LIMITS.text_megabytes:.0f} MB")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"{path} is not text in UTF-8 ({error})") from error


def parse_json(where: str, text: str) -> Any:
    """The JSON value of `text`; raises CorruptFileError, also where it is nested too deeply."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{where}: expected JSON ({error})") from error
    if _too_deep(value, LIMITS.json_depth):
        raise CorruptFileError(f"{where}: JSON is nested deeper than {LIMITS.json_depth} levels")
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; raises MissingFileError or CorruptFileError."""
    value = parse_json(str(path), read_text(path))
    if not isinstance(value, dict):
        raise CorruptFileError(f"{path}: expected a JSON object; got {type(value).__name__}")
    return value


def _too_deep(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: Any) -> list[Any]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in children if isinstance(child, dict | list)]
