"""How the jobs of a data set stand, from plan, manifests and dead letters alone: also while they run, from anywhere."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.planning.job_file import job_names, read_job
from pipelines.progress.in_flight import InFlight, in_flight
from pipelines.progress.job_counts import Tally, dead_letters_of, tally_of
from pipelines.progress.line import Moment, progress_line
from storage.datasets.dataset import Dataset
from storage.datasets.dead_letters import DeadLetter
from storage.datasets.plan import read_plans
from storage.datasets.unit_paths import Sink

_RECENT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job. `rate_per_s` is of the commits of the last minutes, in units; 0 when there were none. `flying` is what
    processes were working on in these minutes."""

    tally: Tally
    dead_letters: tuple[DeadLetter, ...]
    rate_per_s: float
    flying: InFlight

    @property
    def line(self) -> str:
        """The state in one line."""
        kept_per_unit = self.tally.kept / max(1, self.tally.committed_units)
        moment = Moment(tally=self.tally, flying=self.flying)
        return progress_line(moment, kept_per_s=self.rate_per_s * kept_per_unit, left_s=self.left_s)

    @property
    def left_s(self) -> float | None:
        """Seconds left at the present rate, when there is one."""
        open_units = max(0.0, self.tally.open_units - self.flying.units)
        return open_units / self.rate_per_s if self.rate_per_s else None

    def to_json(self) -> dict[str, Any]:
        tally = self.tally
        names = (
            "job",
            "planned_units",
            "committed_units",
            "dead_units",
            "open_units",
            "kept",
            "target",
            "steps",
            "bytes",
        )
        plain = {name: getattr(tally, name) for name in names}
        failed = [{"unit_id": each.unit_id, "stage": each.stage, "message": each.message} for each in self.dead_letters]
        return {**plain, "dropped": dict(tally.dropped), "rate_per_s": self.rate_per_s, "dead_letters": failed}


def status(dataset_root: Path) -> tuple[JobStatus, ...]:
    """The state of every job of a data set, in the order in which they were planned."""
    root = Path(dataset_root)
    Dataset.open(root)
    return tuple(_status(root, name) for name in job_names(root))


def _status(root: Path, name: str) -> JobStatus:
    job = read_job(root, name)
    units = read_plans(root, name)
    tally = tally_of(root, name, units)
    tally.target = job.until.kept if job.until else 0
    ids = {unit.unit_id for unit in units}
    rate = _recent_rate(Sink(root, job.sink), ids) if tally.open_units else 0.0
    flying = InFlight()
    if tally.open_units:
        flying = in_flight(root, since_s=time.time() - _RECENT_S, among=ids - Sink(root, job.sink).committed())
    return JobStatus(tally=tally, dead_letters=dead_letters_of(root, units), rate_per_s=rate, flying=flying)


def _recent_rate(sink: Sink, ids: set[str]) -> float:
    """Commits a second, from the times of the manifests of the last minutes."""
    now = time.time()
    ages = sorted(now - path.stat().st_mtime for path in sink.manifests.glob("*.json") if path.stem in ids)
    recent = [age for age in ages if age <= _RECENT_S]
    if not recent:
        return 0.0
    # The first manifest was begun one interval before it was there.
    span = recent[-1] * len(recent) / max(1, len(recent) - 1) if len(recent) > 1 else recent[-1]
    return len(recent) / max(span, 1e-3)
