"""Writing a data set in a foreign format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import InputError
from storage.formats.export_report import ExportReport
from storage.formats.lerobot.exporter import export_lerobot
from storage.formats.robomimic.exporter import export_robomimic

ExportFormat = Literal["lerobot", "robomimic"]


def export_dataset(
    root: Path,
    output: Path,
    *,
    kind: ExportFormat = "lerobot",
    labels: tuple[str, ...] = (),
    embodiment: str = "",
    selection: str = "",
) -> ExportReport:
    """Export the data set in `root` with its sidecars `labels` joined; `embodiment` and `selection` choose episodes
    ("": all)."""
    dataset = Dataset.open(root, labels=labels, selection=selection, checked=True)
    write = export_lerobot if kind == "lerobot" else export_robomimic
    return write(_chosen(dataset, embodiment), output)


def _chosen(dataset: Dataset, embodiment: str) -> Iterator[Episode]:
    there = set(dataset.index.table["embodiment"].unique().to_pylist())
    if embodiment and embodiment not in there:
        raise InputError(
            f"{dataset.root} has no episodes of {embodiment!r}; it has {', '.join(sorted(there)) or 'none'}"
        )
    return (episode for episode in dataset.episodes() if embodiment in ("", episode.embodiment))
