"""Locks between processes: the kernel's, which die with their holder."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import WorldError

_LOCK_WAIT_S = 60.0


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which exists only while somebody does.

    Waits for another holder; raises WorldError when that one keeps it for a minute. Where the file system has no locks
    this holds nothing: renaming and linking still let only the first of two writers win.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path) -> int:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:  # else its last holder removed it, and this is a lock on nothing
                return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise WorldError(f"another process has held {path} for {_LOCK_WAIT_S:.0f} s; is it stopped?") from None
            time.sleep(0.02)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                os.close(handle)
                raise
            return handle
        os.close(handle)
