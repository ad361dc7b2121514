"""`pyramid status` for people and for machines."""

from pathlib import Path
from typing import Any

from pipelines.progress.status import JobStatus, status


def status_of(root: Path) -> list[dict[str, Any]]:
    """The state of every job of the data set in `root`, as JSON values."""
    return [{**each.to_json(), "line": _line(each)} for each in status(root)]


def status_text(jobs: list[dict[str, Any]]) -> str:
    """One line a job, and the last words of each unit that was given up."""
    lines = []
    for job in jobs:
        lines.append(job["line"])
        lines += [f"  gave up {each['unit_id']} in {each['stage']}: {each['message']}" for each in job["dead_letters"]]
    return "\n".join(lines) or "no jobs yet"


def _line(job: JobStatus) -> str:
    return f"{job.line}, {'open' if job.tally.open_units else 'done'}"
