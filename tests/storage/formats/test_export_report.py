"""Exports are there whole or not at all, and clean up after exports that were killed."""

import os
import socket
from pathlib import Path

from storage.formats.export_report import staged


def test_what_a_killed_export_left_is_removed_by_the_next_one_and_a_living_one_is_let_alone(tmp_path: Path) -> None:
    host, living = socket.gethostname(), os.getpid()
    dead = tmp_path / f".out.partial-{host}-999999999-{'a' * 12}"
    alive = tmp_path / f".out.partial-{host}-{living}-{'b' * 12}"
    elsewhere = tmp_path / f".out.partial-other-999999999-{'c' * 12}"
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
    with staged(tmp_path / "out") as folder:
        assert folder.is_dir()
    assert [path for path in (dead, alive, elsewhere) if path.exists()] == [alive, elsewhere]
