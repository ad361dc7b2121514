"""`pyramid data repair`: take out what is damaged, make it again, and look once more."""

from pathlib import Path

from pipelines.run_job import EngineOptions, resume
from storage.verification.findings import Finding
from storage.verification.repair import Repair, repair
from storage.verification.verify import verify


def repair_and_resume(root: Path, options: EngineOptions, *, again: bool) -> tuple[Repair, list[Finding]]:
    """What was taken out of the data set in `root`, and what is still wrong afterwards.

    With `again` the units that were taken out are made again by their jobs before the second look.
    """
    done = repair(root)
    if again:
        resume(root, options=options)
    return done, [finding for finding in verify(root) if finding.is_damage]
