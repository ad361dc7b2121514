"""`pyramid data quality`: judge the numbers of every episode, as verdicts in a sidecar, and a page by uncertainty."""

from collections.abc import Mapping
from pathlib import Path

from judges.quality.duplicates import find_duplicates
from judges.quality.judge import QualityConfig
from judges.quality.report import uncertainty_of, write_quality_page
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import Sink
from storage.errors import ConfigError
from storage.verdicts.verdicts import Verdict

PAGE = "quality.html"


def quality_job(root: Path, name: str = "quality", thresholds: Mapping[str, float] | None = None) -> Job:
    """The job that judges the data set in `root` into the sidecar labels/<name>."""
    dataset = Dataset.open(root)
    if not len(dataset):
        raise ConfigError(f"{root} has no episodes to judge; import or generate some first")
    config = QualityConfig(thresholds=dict(thresholds or {}), duplicates=find_duplicates(dataset))
    settings = {"thresholds": dict(config.thresholds), "duplicates": dict(config.duplicates)}
    return Job(
        name=f"quality-{name}",
        stages=(("read_unit", {}), ("judge_quality", settings)),
        units=label_units(dataset),
        sink=f"labels/{name}",
        provides=fields_of(dataset),
    )


def quality_summary(root: Path, name: str = "quality") -> str:
    """Write the page of the verdicts in labels/<name> and say what they are, the most uncertain episodes first."""
    verdicts = _verdicts(root, name)
    page = write_quality_page(Dataset.open(root), verdicts, root / PAGE)
    against: dict[str, int] = {}
    for verdict in (verdict for its in verdicts.values() for verdict in its if verdict.passed is False):
        against[verdict.judge] = against.get(verdict.judge, 0) + 1
    bad = sum(any(verdict.passed is False for verdict in its) for its in verdicts.values())
    lines = [f"judged {len(verdicts)} episodes; {bad} have a verdict against them"]
    lines += [f"  {judge}: {count}" for judge, count in sorted(against.items(), key=lambda pair: -pair[1])]
    worst = sorted(verdicts, key=lambda episode_id: (-uncertainty_of(verdicts[episode_id]), episode_id))[:5]
    for episode_id in worst:
        reasons = "; ".join(verdict.reason for verdict in verdicts[episode_id] if verdict.reason)
        if reasons:
            lines.append(f"  {episode_id}: {reasons}")
    return "\n".join([*lines, str(page)])


def _verdicts(root: Path, name: str) -> dict[str, list[Verdict]]:
    by_episode: dict[str, list[Verdict]] = {}
    for manifest in read_manifests(Sink(root, f"labels/{name}")):
        for record in manifest.episodes:
            by_episode[str(record["episode_id"])] = [
                verdict for each in record["verdicts"] if (verdict := Verdict.from_json(each))
            ]
    return by_episode
