"""Work in a child process that is killed at one of its writes: the crash of a machine, write by write."""

import os
import signal
import sys
from collections.abc import Callable

_WRITES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.rmtree"}


def in_child(work: Callable[[], object], *, dies_at: int = -1) -> tuple[int, int]:
    """Do `work` in a fork that kills itself before its write number `dies_at`; its signal (0: it ended well) and how
    many writes it did."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
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
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        return os.waitstatus_to_exitcode(status), int(pipe.read() or 0)


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
