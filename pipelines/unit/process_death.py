"""What is said about a unit whose process died over it: the signal, the stage, and how often it happened."""

from pipelines.unit.crash_recorder import CrashRecording
from pipelines.unit.failure import Failure
from pipelines.unit.unit_result import UnitResult
from storage.datasets.plan import WorkUnit

_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}


def result_of_death(unit: WorkUnit, recording: CrashRecording) -> UnitResult:
    """The result of a unit whose process died, from what it left behind."""
    where = f" in stage {recording.stage!r}" if recording.stage else ""
    failure = Failure(
        kind="process",
        stage=recording.stage or "unknown: the process died",
        error="ProcessDied",
        message=f"{cause_of_death(recording)}{where} ({recording.starts} processes began on this unit)",
        traceback=recording.stack,
        host=recording.host,
    )
    return UnitResult(unit_id=unit.unit_id, items=len(unit.items), failure=failure, attempts=recording.starts)


def cause_of_death(recording: CrashRecording) -> str:
    """Why the last process died, as far as its recording tells."""
    fatal = [line for line in recording.stack.splitlines() if line.startswith(("Fatal Python error", "Timeout"))]
    if not fatal:
        return "the process was killed from outside (SIGKILL: out of memory?), left without a word, or its node is gone"
    if fatal[-1].startswith("Timeout"):
        return "the unit took longer than unit_timeout_s"
    name = next((signal for text, signal in _SIGNALS.items() if text in fatal[-1]), "")
    return f"{fatal[-1]} ({name})" if name else fatal[-1]


def died_too_often(unit: WorkUnit, recording: CrashRecording, *, attempts: int) -> UnitResult | None:
    """The result of a unit that crashed its process in as many runs as it may be tried; None otherwise. Processes that
    were killed from outside do not count."""
    return result_of_death(unit, recording) if recording.crashes >= attempts else None
