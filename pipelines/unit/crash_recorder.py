"""A flight recorder for processes that may die without a word, and what progress is read from meanwhile.

While a unit runs, a small file in the staging folder names the process and says how far it is. When the process crashes
(a segmentation fault), or is stopped because it took too long, the Python stack of that moment is in it as well. The
driver reads it for the dead letter, and whoever wants to know how far a run is.
"""

import faulthandler
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from storage.datasets.unit_paths import STAGING

_STARTED = "started on "
_AT = "at stage "
_FATAL = ("Fatal Python error", "Timeout")
_AT_LINE = re.compile(_AT + r"(?P<stage>\S+): (?P<share>[0-9.]+) of the unit, kept (?P<kept>\d+)")
_HARD_STOP = 1.5
"""Native code cannot be interrupted: a unit that does not stop when it is told is ended with its process later."""


class UnitTookTooLong(BaseException):
    """Raised inside a unit whose time is up. No `except Exception` of a stage swallows it."""


class Recorder:
    """The open recording of one unit."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def at(self, stage: str, share: float, *, kept: int = 0) -> None:
        """Note that the unit is in `stage`, that `share` (0..1) of it is done, and how many episodes are through."""
        self._file.write(f"{_AT}{stage}: {share:.4f} of the unit, kept {kept}\n")
        self._file.flush()


@contextmanager
def recording(
    root: Path, unit_id: str, *, part: int = 0, timeout_s: float, interrupt: bool = False
) -> Iterator[Recorder]:
    """Record this process while it works on a unit. `part` keeps apart processes that work on one unit one after the
    other.

    A unit that takes longer than `timeout_s` ends the process; with `interrupt` it is interrupted by UnitTookTooLong,
    and the process ends only if that does not help.
    """
    path = root / STAGING / f"{unit_id}.{part}.recording"
    path.parent.mkdir(parents=True, exist_ok=True)
    interrupt = interrupt and threading.current_thread() is threading.main_thread()
    with path.open("a") as file:
        file.write(f"{_STARTED}{socket.gethostname()} as process {os.getpid()}\n")
        file.flush()
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(timeout_s * (_HARD_STOP if interrupt else 1), exit=True, file=file)
        try:
            with _alarm(timeout_s) if interrupt else nullcontext():
                yield Recorder(file)
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
            if sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__)
            path.unlink(missing_ok=True)


@contextmanager
def _alarm(timeout_s: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise UnitTookTooLong(f"the unit took longer than unit_timeout_s, {timeout_s:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True, kw_only=True)
class CrashRecording:
    """What a recorder says: how often a process started on the unit, how often one crashed or was stopped over it, the
    last host and process, the stage and the share of the unit it had come to, and its last stack."""

    unit_id: str = ""
    starts: int = 0
    crashes: int = 0
    host: str = ""
    process: int = 0
    stage: str = ""
    share: float = 0.0
    kept: int = 0
    stack: str = ""


def read_recording(root: Path, unit_id: str) -> CrashRecording:
    """What is known about the processes that died over a unit; nothing when none began."""
    return _parsed(unit_id, [line for path in _paths(root, unit_id) for line in _lines(path)])


def recorded(root: Path, *, since_s: float) -> Iterator[CrashRecording]:
    """The units that processes were working on at or after `since_s` (seconds since the epoch)."""
    for path in (root / STAGING).glob("*.recording"):
        with suppress(OSError):
            if path.stat().st_mtime >= since_s:
                yield _parsed(path.name.split(".")[0], _lines(path))


def discard_recording(root: Path, unit_id: str) -> None:
    """Forget what was recorded."""
    for path in _paths(root, unit_id):
        with suppress(OSError):
            path.unlink()


def _parsed(unit_id: str, lines: list[str]) -> CrashRecording:
    begun = [place for place, line in enumerate(lines) if line.startswith(_STARTED)]
    starts = [lines[place].removeprefix(_STARTED).split(" as process ") for place in begun]
    told = [match for line in lines[begun[-1] :] if (match := _AT_LINE.match(line))] if begun else []
    last = told[-1] if told else None
    return CrashRecording(
        unit_id=unit_id,
        starts=len(starts),
        crashes=sum(line.startswith(_FATAL) for line in lines),
        host=starts[-1][0] if starts else "",
        process=int(starts[-1][1]) if starts and starts[-1][-1].isdigit() else 0,
        stage=last["stage"] if last else "",
        share=float(last["share"]) if last else 0.0,
        kept=int(last["kept"]) if last else 0,
        stack="\n".join(line for line in lines if not line.startswith((_STARTED, _AT))),
    )


def _paths(root: Path, unit_id: str) -> list[Path]:
    return sorted((root / STAGING).glob(f"{unit_id}.*.recording"))


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="replace").splitlines()
    return []
