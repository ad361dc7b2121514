"""`near_duplicates`: clips that are in the data set twice get a verdict that says so."""

from dataclasses import asdict, dataclass

from judges.curation.near_duplicates import JUDGE, TABLE_FILE, NearDuplicateConfig, find_near_duplicates
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import JobResult
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import JobStep


@dataclass(frozen=True, kw_only=True)
class NearDuplicatesStep(NearDuplicateConfig):
    """See `judges.curation.near_duplicates.NearDuplicateConfig`."""


def near_duplicates_job(context: RunContext, step: NearDuplicatesStep) -> Job:
    """Compare the hashes of all clips, and write the verdicts as the sidecar labels/near_duplicates."""
    dataset = Dataset.open(context.root)
    write_whole(context.root / TABLE_FILE, json_bytes(find_near_duplicates(context.root, step)))
    return Job(
        name="near-duplicates",
        stages=(("read_unit", {}), ("near_duplicates", asdict(step))),
        units=label_units(dataset),
        sink="labels/near_duplicates",
        seed=context.seed,
        provides=fields_of(dataset),
    )


def compared(step: NearDuplicatesStep, result: JobResult) -> str:
    """How many clips were compared."""
    return f"compared {result.tally.kept} clips with one another (verdicts of {JUDGE!r})"


STEP = JobStep(config=NearDuplicatesStep, job=near_duplicates_job, summary=compared, reads_data=True)
