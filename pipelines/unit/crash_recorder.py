"""A flight recorder for processes that die without a word.

While a unit runs, a small file in the staging folder names the process; when that crashes (a segmentation fault), or
is stopped because it took too long, the Python stack of that moment is in it. The driver reads it for the dead letter.
"""

import faulthandler
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from storage.datasets.unit_paths import STAGING

_STARTED = "started on "


@contextmanager
def recording(root: Path, unit_id: str, *, part: int = 0, timeout_s: float) -> Iterator[None]:
    """Record this process while it works on a unit; end the process when that takes longer than `timeout_s`. `part`
    keeps apart processes that work on one unit one after the other."""
    path = root / STAGING / f"{unit_id}.{part}.recording"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{_STARTED}{socket.gethostname()} as process {os.getpid()}\n")
        file.flush()
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
            if sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__)
    path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a recorder that was found says: how often a process started on the unit, where, and its last stack."""

    starts: int
    host: str
    stack: str


def read_recording(root: Path, unit_id: str) -> Recording:
    """What is known about the processes that died over a unit; nothing when none began."""
    lines = [line for path in _paths(root, unit_id) for line in _lines(path)]
    starts = [line.removeprefix(_STARTED) for line in lines if line.startswith(_STARTED)]
    stack = "\n".join(line for line in lines if not line.startswith(_STARTED))
    return Recording(starts=len(starts), host=starts[-1].split(" ")[0] if starts else "", stack=stack)


def discard_recording(root: Path, unit_id: str) -> None:
    """Forget what was recorded."""
    for path in _paths(root, unit_id):
        with suppress(OSError):
            path.unlink()


def _paths(root: Path, unit_id: str) -> list[Path]:
    return sorted((root / STAGING).glob(f"{unit_id}.*.recording"))


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="replace").splitlines()
    return []
