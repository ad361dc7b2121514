"""Work in a child process that is killed at one of its writes: the crash of a machine, write by write."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from storage.errors import WorkFailedError

_WRITES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.rmtree"}


_STUCK_S, _TRIES = 300.0, 3


def in_child(work: Callable[[], object], *, dies_at: int = -1) -> tuple[int, int]:
    """Do `work` in a fork that kills itself before its write number `dies_at`; its signal (0: it ended well) and how
    many writes it did.

    A fork of a process with threads may inherit a lock that none of them opens any more. A child that stands still for
    five minutes without using the processor is such a one, and is killed and tried again.
    """
    for _ in range(_TRIES):
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            _work_and_leave(work, writer, dies_at)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            status = _waited(child)
            if status is not None:
                return os.waitstatus_to_exitcode(status), int(pipe.read() or 0)
    raise WorkFailedError(f"{_TRIES} children stood still for {_STUCK_S:g} s each")


def _work_and_leave(work: Callable[[], object], writer: int, dies_at: int) -> NoReturn:
    try:
        count = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in _WRITES or (event == "open" and len(arguments) > 2 and _writes(arguments[2])):
                if count == dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        sys.addaudithook(watch)
        work()
        os.write(writer, str(count).encode())
        os._exit(0)
    finally:
        os._exit(1)


def _waited(child: int) -> int | None:
    """The status of a child that ends, None of one that stood still and was killed."""
    used, since = _cpu_ticks(child), time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if (now := _cpu_ticks(child)) != used:
            used, since = now, time.monotonic()
        if time.monotonic() - since > _STUCK_S:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.002)


def _cpu_ticks(process: int) -> int:
    """What a process has used of the processor so far."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
