"""A checksum inside the file that it covers: small files of a data set that say themselves whether they were changed.

The file holds `pyramid-crc32c-xxxxxxxx`, the crc32c of all its bytes with eight zeros in the place of the number. JSON
files hold it under the key "_seal", parquet files in their metadata. Files of older programs have none and pass.
"""

import re
from pathlib import Path

import google_crc32c

from storage.errors import CorruptFileError

KEY = "_seal"
PLACEHOLDER = "pyramid-crc32c-00000000"
"""What is written before the checksum is known."""

_MARK, _EMPTY = PLACEHOLDER[:-8].encode(), PLACEHOLDER.encode()
_SEAL = re.compile(re.escape(_MARK) + rb"[0-9a-f]{8}")


def sealed(content: bytes, *, last: bool = False) -> bytes:
    """`content` with the checksum in the place of its first `PLACEHOLDER`, or of its `last` one."""
    at = (content.rindex if last else content.index)(_EMPTY)
    checksum = f"{google_crc32c.value(content):08x}".encode()
    return content[: at + len(_MARK)] + checksum + content[at + len(_EMPTY) :]


def check_seal(content: bytes, path: Path, *, last: bool = False) -> None:
    """Raise CorruptFileError when the first (or `last`) seal in `content`, read from `path`, is not of its bytes."""
    matches = list(_SEAL.finditer(content)) if last else [match] if (match := _SEAL.search(content)) else []
    if matches:
        at = matches[-1].start()
        if sealed(content[:at] + _EMPTY + content[at + len(_EMPTY) :], last=last) == content:
            return
    raise CorruptFileError(
        f"{path} has changed since it was written: its checksum does not match. `pyramid data verify` says what else"
        " is damaged, `pyramid data repair` what can be mended"
    )
