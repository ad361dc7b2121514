"""Writing a data set in a foreign format."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from storage.episode import Episode
from storage.errors import InputError, UnknownNameError
from storage.formats.export_report import ExportReport
from storage.formats.groot.exporter import GrootExport, export_groot
from storage.formats.groot.versions import GrootVersion
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.robomimic.exporter import export_robomimic
from storage.labelling.labelled_runs import LeftOut, labelled_runs

ExportFormat = Literal["lerobot", "lerobot-v3", "robomimic", "groot-n1.5", "groot-n1.6", "groot-n1.7"]


def export_dataset(
    root: Path,
    output: Path,
    *,
    kind: ExportFormat = "lerobot",
    labels: tuple[str, ...] = (),
    embodiment: str = "",
    selection: str = "",
    tag: str = "",
) -> ExportReport:
    """Export the data set in `root` with its sidecars `labels` joined; `embodiment` and `selection` choose episodes
    ("": all). `tag` is the embodiment tag of an export for GR00T. Steps without a label are left out: an episode with
    such steps becomes its labelled runs, and the report counts what is missing."""
    if kind not in get_args(ExportFormat):
        raise UnknownNameError.among("format", kind, get_args(ExportFormat))
    if tag and not kind.startswith("groot-"):
        raise InputError(f"an embodiment tag belongs to the formats groot-n1.5, groot-n1.6 and groot-n1.7; got {kind}")
    dataset = Dataset.open(root, labels=labels, selection=selection, checked=True)
    left_out = LeftOut()
    episodes = (run for episode in _chosen(dataset, embodiment) for run in labelled_runs(episode, left_out))
    report = _written(episodes, output, kind, tag)
    return replace(report, left_out={**report.left_out, **left_out.lines()})


def unasked_labels(root: Path, labels: tuple[str, ...], selection: str) -> list[str]:
    """Sidecars that an export with `labels` and `selection` says nothing of."""
    joined = Dataset.open(root, labels=labels, selection=selection).labels
    there = (sink.name.removeprefix("labels/") for sink in sinks_of(root) if sink.is_labels)
    return sorted(set(there) - set(joined))


def _written(episodes: Iterator[Episode], output: Path, kind: ExportFormat, tag: str) -> ExportReport:
    if kind == "robomimic":
        return export_robomimic(episodes, output)
    if kind in ("lerobot", "lerobot-v3"):
        return export_lerobot(episodes, output, LeRobotExport(version="v2.1" if kind == "lerobot" else "v3.0"))
    version: GrootVersion = kind.removeprefix("groot-")  # type: ignore[assignment]
    return export_groot(episodes, output, GrootExport(version=version, tag=tag))


def _chosen(dataset: Dataset, embodiment: str) -> Iterator[Episode]:
    there = set(dataset.index.table["embodiment"].unique().to_pylist())
    if embodiment and embodiment not in there:
        raise InputError(
            f"{dataset.root} has no episodes of {embodiment!r}; it has {', '.join(sorted(there)) or 'none'}"
        )
    return (episode for episode in dataset.episodes() if embodiment in ("", episode.embodiment))
