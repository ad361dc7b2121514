"""Which data a labeller is fitted to, from what a command line says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from storage.errors import ConfigError
from storage.training_reader.training_data import TrainingData


def training_data(
    datasets: Sequence[Path], *, selection: str = "", held_out: str = "", action: str, head: str = ""
) -> list[TrainingData]:
    """The data sets in `datasets` to fit to. `held_out` is a share of the episodes ("0.2"), ids of episodes with commas
    between them, or "@FILE" with an id a line; "" for the usual share. Raises ConfigError for ids that none has."""
    opened = [Dataset.open(path, selection=selection, labels=_labels_with(path, action)) for path in datasets]
    choice: dict[str, Any] = {"action": action, "head": head}
    if not held_out:
        return [TrainingData(dataset=dataset, **choice) for dataset in opened]
    if _is_number(held_out):
        return [TrainingData(dataset=dataset, held_out_share=float(held_out), **choice) for dataset in opened]
    names = _names_in(held_out)
    known = {dataset.root: names & set(dataset.index.row_of_episode) for dataset in opened}
    if lost := names - frozenset[str]().union(*known.values()):
        raise ConfigError(
            f"--held-out names {len(lost)} episodes that no data set has, such as {min(lost)!r}; `pyramid data info`"
            " lists data sets, and a share such as 0.2 needs no ids"
        )
    return [
        TrainingData(dataset=dataset, held_out=known[dataset.root], held_out_share=0.0, **choice) for dataset in opened
    ]


def _labels_with(dataset: Path, action: str) -> tuple[str, ...]:
    """The sidecar that holds an array of actions which the data set itself does not hold, if one does."""
    if not action or action == "action/ground_truth":
        return ()
    for name in (sink.name.removeprefix("labels/") for sink in sinks_of(dataset) if sink.is_labels):
        opened = Dataset.open(dataset, labels=(name,))
        if any(action in layout.get("arrays", ()) for layout in opened.label_indices[name].layouts):
            return (name,)
    return ()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names_in(text: str) -> frozenset[str]:
    """Ids of episodes in "a,b,c", or in the file of "@FILE", one a line."""
    if not text.startswith("@"):
        return frozenset(filter(None, text.split(",")))
    try:
        return frozenset(filter(None, Path(text[1:]).read_text().split("\n")))
    except OSError as error:
        raise ConfigError(f"--held-out {text}: the file cannot be read: {error}") from error
