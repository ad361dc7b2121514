"""A command in a process of its own, watched by the one that was called.

When native code takes it down (a segmentation fault, a kill for memory), somebody is left to say which signal it was,
over which unit, in which stage, and how to go on.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from workflows.current_run import NOTE, continuation

_WATCH = "PYRAMID_WATCH"
"""Environment variable: "no" runs commands in the process that is called, as a debugger wants it."""
_PR_SET_PDEATHSIG = 1
_wanted = False


def want_watching() -> None:
    """Say that this process is the command `pyramid` as it was typed: its arguments may be run again in a child."""
    global _wanted
    _wanted = os.environ.get(_WATCH, "") != "no" and NOTE not in os.environ and sys.platform == "linux"
    if NOTE in os.environ and sys.platform == "linux":
        # This is the child: it does not outlive the one that watches.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def is_wanted() -> bool:
    """Whether a command that runs jobs should do so in a watched child."""
    return _wanted


def run_watched(arguments: list[str]) -> int:
    """Run `pyramid <arguments>` in a child and return its exit status; when a signal ended it, say what is known."""
    with tempfile.TemporaryDirectory(prefix="pyramid-") as folder:
        note = Path(folder) / "root"
        command = [sys.executable, "-m", "workflows", *arguments]
        child = subprocess.Popen(command, env={**os.environ, NOTE: str(note)})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
        signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
        status = child.wait()
        if status >= 0:
            return status
        print(f"pyramid: {_last_words(-status, note, child.pid)}", file=sys.stderr)
        return 128 - status


def _last_words(number: int, note: Path, process: int) -> str:
    name = signal.Signals(number).name
    why = f"ended by {name}" + (" (out of memory, or killed by somebody)" if number == signal.SIGKILL else "")
    if not note.exists():
        return f"{why} before any work began; `pyramid doctor` looks at the machine"
    root = note.read_text()
    return f"{why}{_where(Path(root), process)}. What is committed stays: {continuation(Path(root))}"


def _where(root: Path, process: int) -> str:
    from pipelines.unit.crash_recorder import recorded

    for recording in recorded(root, since_s=0.0):
        if recording.process == process:
            stack = [line.strip() for line in recording.stack.splitlines() if line.strip().startswith("File ")]
            at = f" ({stack[0]})" if stack else ""
            return f" in stage {recording.stage!r} of unit {recording.unit_id}{at}"
    return ""
