"""Looking through an HDF5 file first in a process of its own.

On some damaged files the HDF5 library turns in circles, where Python cannot interrupt it, and on others it crashes the
interpreter. A child process meets both before we do: no call of it may take longer than the limit, in CPU time, so that
a slow disk or a busy machine harms no file. What the child survives may still be damaged, which readers say themselves.
Of the data only the tables of their chunks are looked through; reading is bounded by the time that a unit may take.
"""

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from storage.errors import CorruptFileError, PyramidError
from storage.formats.untrusted.guard import OF_CONTENT
from storage.formats.untrusted.hdf5_tree import open_child
from storage.formats.untrusted.limits import LIMITS

_MEMORY_BYTES = 4 << 30


def check_hdf5(path: Path) -> None:
    """Raise CorruptFileError where the HDF5 library does not come back from looking through `path`; what it says of the
    file otherwise is not asked here."""
    about = path.stat()
    if verdict := _verdict(path.absolute(), about.st_mtime_ns, about.st_size):
        raise CorruptFileError(f"{path} {verdict}: it is damaged or was made to hurt; fetch or record it again")


# A file is opened to be found, to be listed and to be read.
@lru_cache(maxsize=1 << 16)
def _verdict(path: Path, changed_ns: int, size: int) -> str:
    return _LOOKER.ask(path)


class _Looker:
    """A child that looks through one file after another; another one takes over when it is lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, path: Path) -> str:
        """What is wrong with `path`, "" where the child came back from it."""
        with self._lock:
            child = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps([str(path), LIMITS.seconds]) + "\n")
            child.stdin.flush()
            if child.stdout.readline():
                return ""
            code = child.wait()
            self.close()
        if code == -signal.SIGXCPU:
            return f"keeps the HDF5 library busy for over {LIMITS.seconds:g} s within one call"
        return f"ends the HDF5 library ({signal.Signals(-code).name if code < 0 else f'exit {code}'})"

    def _running(self) -> "subprocess.Popen[str]":
        if self._child is None or self._owner != os.getpid():
            command = [sys.executable, "-m", "storage.formats.untrusted.hdf5_probe"]
            paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **paths},
                text=True,
                # Ctrl-C is the parent's to answer.
                process_group=0,
            )
            self._owner = os.getpid()
        return self._child

    def close(self) -> None:
        """Let the child go."""
        child, self._child = self._child, None
        if child is not None and self._owner == os.getpid():
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
            child.wait()


_LOOKER = _Looker()
atexit.register(_LOOKER.close)


def look_through(path: Path, seconds: float) -> None:
    """Touch everything in `path` but its data; each step may take `seconds` of CPU. Errors are not ours to tell."""
    _more_time(seconds)
    with suppress(OSError, *OF_CONTENT), h5py.File(path, "r") as file:
        groups, seen = [(file["/"], 0)], 0
        while groups and seen < LIMITS.objects:
            group, depth = groups.pop()
            with suppress(OSError, *OF_CONTENT):
                _touch(group, seconds)
                for name in group:
                    seen += 1
                    # One that cannot be opened says nothing about the rest.
                    with suppress(OSError, PyramidError, *OF_CONTENT):
                        _more_time(seconds)
                        child = open_child(str(path), group, name)
                        _touch(child, seconds)
                        if isinstance(child, h5py.Group) and depth < LIMITS.depth:
                            groups.append((child, depth + 1))


def _touch(item: Any, seconds: float) -> None:
    for name in item.attrs:
        # Texts lie in a heap of their own, in which the library may turn in circles too.
        with suppress(OSError, *OF_CONTENT):
            _more_time(seconds)
            item.attrs[name]
    if isinstance(item, h5py.Dataset) and item.chunks:
        item.id.get_num_chunks()


def _more_time(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def main() -> None:
    """Look through the files that come on standard input, one JSON text a line; say when each is done."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in sys.stdin:
        path, seconds = json.loads(line)
        look_through(Path(path), float(seconds))
        sys.stdout.write("looked\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
