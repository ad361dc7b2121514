"""A sealed file says itself when one of its bytes has changed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.atomic_files import read_json, sealed_json_bytes
from storage.errors import CorruptFileError
from storage.seals import PLACEHOLDER, check_seal, sealed


def test_a_sealed_record_reads_as_it_was_written_also_when_its_text_looks_like_a_seal(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    record = {"z": 1, "text": "pyramid-crc32c-12345678"}
    path.write_bytes(sealed_json_bytes(record))
    assert read_json(path) == record


def test_a_record_of_an_older_program_has_no_seal_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text('{"name": "old"}')
    assert read_json(path) == {"name": "old"}


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: float, value: int) -> None:
    content = sealed(b"some bytes " + PLACEHOLDER.encode() + b" and more")
    at = int(place * len(content))
    changed = content[:at] + bytes([content[at] ^ value]) + content[at + 1 :]
    check_seal(content, Path("whole"))
    with pytest.raises(CorruptFileError, match="has changed since it was written"):
        check_seal(changed, Path("changed"))
