"""TFRecord files: records framed by their length and two masked CRC-32C sums (TensorFlow, record_writer.cc: u64 length,
u32 sum of the length, the bytes, u32 sum of the bytes; mask = rotate right by 15, plus 0xa282ead8)."""

import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from storage.errors import CorruptFileError
from storage.formats.untrusted.limits import LIMITS, regular

_HEAD, _TAIL = 12, 4


def record_offsets(path: Path) -> Iterator[int]:
    """The offset of every record, from the headers alone; one that the file's end cuts off is among them."""
    size = regular(path, "a TFRecord").stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            yield at
            file.seek(at)
            head = file.read(_HEAD)
            if len(head) < _HEAD:
                return
            length, checksum = struct.unpack("<QI", head)
            if masked_crc(head[:8]) != checksum:
                return
            at += _HEAD + length + _TAIL


def read_record(path: Path, offset: int) -> bytes:
    """The bytes of the record at `offset`; raises CorruptFileError where they are cut off or changed."""
    with regular(path, "a TFRecord").open("rb") as file:
        file.seek(offset)
        head = file.read(_HEAD)
        if len(head) < _HEAD:
            raise CorruptFileError(f"{path} is cut off at byte {offset}, within the head of a record; fetch it again")
        length, checksum = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != checksum:
            raise CorruptFileError(f"{path} is damaged at byte {offset}: the length of a record has a wrong checksum")
        if length > LIMITS.array_megabytes * 1e6:
            raise CorruptFileError(
                f"{path}: a record of {length / 1e6:.0f} MB; at most {LIMITS.array_megabytes:.0f} are read"
            )
        content = file.read(length)
        tail = file.read(_TAIL)
    if len(content) < length or len(tail) < _TAIL:
        raise CorruptFileError(
            f"{path} is cut off: its record at byte {offset} has {length} bytes, {len(content)} are there"
        )
    if masked_crc(content) != struct.unpack("<I", tail)[0]:
        raise CorruptFileError(f"{path} is damaged: its record at byte {offset} has a wrong checksum; fetch it again")
    return content


def masked_crc(content: bytes) -> int:
    """The masked CRC-32C of `content`, as TFRecord stores it."""
    crc = int(google_crc32c.value(content))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
