"""From a mixture's description to the sources of the training reader: one for each data set, layer, embodiment and kind
of action, with its share of the stream.

Each kind of action is a head of its own (GR00T N1, section 2.1): recorded actions under the embodiment's name,
predicted ones beside it unless a source says `same_head`, and latent actions under one head for everybody, people
included.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groot.training.mixture_config import KINDS_OF_LAYER, Mixture, MixtureSource
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.ids import content_id
from storage.training_reader.config import Source

LATENT_HEAD = "latent"
_LOOKED_AT = 1000
"""Episodes of which confidences are read at most: their mean hardly changes with more."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One part of the mixture: what one data set holds of one layer and embodiment with one kind of action; `units`
    are where its episodes lie, `place` is its number among the cells that have a share."""

    dataset: Dataset
    source: MixtureSource
    layer: str
    embodiment: str
    kind: str
    units: frozenset[str]
    episodes: frozenset[str]
    frames: int
    weight: float = 0.0
    place: int = 0

    @property
    def head(self) -> str:
        joined = self.source.same_head and self.kind == "predicted"
        return head_name(self.embodiment, "ground_truth" if joined else self.kind)

    @property
    def name(self) -> str:
        return f"{self.dataset.root}:{self.layer}:{self.embodiment}:{self.kind}:{self.source.selection}"

    def reader_source(self, episodes: frozenset[str]) -> Source:
        """This cell for the training reader, of these `episodes`. Its name keys the order of windows, and says
        nothing of where the data set lies: equal data elsewhere is seen in the same order."""
        return Source(
            dataset=self.dataset,
            name=f"{self.place}:{self.dataset.name}:{self.layer}:{self.embodiment}:{self.kind}",
            weight=self.weight,
            action=f"action/{self.kind}",
            layers=(self.layer,),
            embodiments=(self.embodiment,),
            episodes=episodes,
            head=self.head,
        )


def head_name(embodiment: str, kind: str) -> str:
    """The head that learns actions of one `kind` of one embodiment."""
    return {"ground_truth": embodiment, "latent": LATENT_HEAD}.get(kind, f"{embodiment}:{kind}")


def cells_of(mixture: Mixture, snapshot: Mapping[str, Sequence[str]] | None = None) -> tuple[list[Cell], list[str]]:
    """The cells with their shares, and what was left out, each with its reason.

    A `snapshot` (folder of a data set -> ids of its units) leaves out what was committed since. Raises ConfigError for
    a source without the kinds that it asks for, and for weights that sum to zero.
    """
    if not mixture.sources:
        raise ConfigError("a mixture needs at least one source; name data sets, or write `sources` into the recipe")
    cells: list[Cell] = []
    left_out: list[str] = []
    for source in mixture.sources:
        dataset = Dataset.open(Path(source.dataset), labels=source.labels, selection=source.selection)
        units = None if snapshot is None else snapshot.get(source.dataset, ())
        cells_here, missing = _cells_of_source(mixture, source, dataset, units)
        cells += cells_here
        left_out += missing
    weighted = [replace(cell, weight=weight) for cell, weight in zip(cells, _weights(cells, mixture), strict=True)]
    left_out += [f"{cell.name}: weight 0" for cell in weighted if not cell.weight]
    kept = [cell for cell in weighted if cell.weight]
    if not kept:
        raise ConfigError("the weights of the mixture sum to zero: nothing would be trained on")
    return [replace(cell, place=place) for place, cell in enumerate(kept)], left_out


def _cells_of_source(
    mixture: Mixture, source: MixtureSource, dataset: Dataset, units: Sequence[str] | None
) -> tuple[list[Cell], list[str]]:
    cells: list[Cell] = []
    left_out: list[str] = []
    there: set[str] = set()
    chosen = _chosen(source, dataset, units)
    for layer, embodiment, rows in _groups(dataset, chosen):
        if (source.layers and layer not in source.layers) or (
            source.embodiments and embodiment not in source.embodiments
        ):
            continue
        kinds = _kinds_there(dataset, rows)
        there |= set(kinds)
        for kind in source.kinds or KINDS_OF_LAYER[mixture.stage][layer]:  # type: ignore[index]
            title = f"{source.dataset}: {len(rows)} episodes of {embodiment} in layer {layer}"
            if kind not in kinds:
                left_out.append(f"{title} have no action/{kind}; they have {sorted(kinds) or 'none'}")
                continue
            ids = dataset.index.table["episode_id"].take(rows).to_pylist()
            cells.append(
                Cell(
                    dataset=dataset,
                    source=source,
                    layer=layer,
                    embodiment=embodiment,
                    kind=kind,
                    units=frozenset(dataset.index.units[unit] for unit in np.unique(dataset.index.unit_of_row[rows])),
                    episodes=frozenset(map(str, ids)),
                    frames=int(dataset.index.numbers("length")[rows].sum()),
                )
            )
    kinds_here = {cell.kind for cell in cells}
    if missing := [kind for kind in source.kinds if kind not in kinds_here]:
        raise ConfigError(
            f"source {source.dataset} has no {' and no '.join(f'action/{kind}' for kind in missing)}, which the recipe"
            f" asks for; it has {sorted(there) or 'no actions'} with labels {list(source.labels) or 'none'} joined."
            " Name the sidecar in `labels`, or make it with `pyramid label`"
        )
    if not cells:
        raise ConfigError(
            f"source {source.dataset} gives nothing to train on in stage {mixture.stage!r}: {'; '.join(left_out)}"
            if left_out
            else f"source {source.dataset} has no episodes in layers {source.layers or 'any'} of embodiments"
            f" {source.embodiments or 'any'}"
        )
    return cells, left_out


def _chosen(source: MixtureSource, dataset: Dataset, units: Sequence[str] | None) -> NDArray[np.bool_]:
    """Which rows of the index the source is about: of the snapshot, of its selection, only so many."""
    index = dataset.index
    keep = dataset.selected_rows()
    if units is not None:
        known = set(units)
        keep &= np.array([index.units[unit] in known for unit in index.unit_of_row], dtype=bool)
    if source.episodes:
        ranked = sorted(
            np.flatnonzero(keep), key=lambda row: content_id("few", str(index.table["episode_id"][int(row)].as_py()))
        )
        keep[ranked[source.episodes :]] = False
    return keep


def _groups(dataset: Dataset, chosen: NDArray[np.bool_]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Layer, embodiment and rows of the index, for every pair that has rows."""
    index = dataset.index
    layers, embodiments = index.codes("layer"), index.codes("embodiment")
    for layer_code, layer in enumerate(index.texts("layer")):
        for embodiment_code, embodiment in enumerate(index.texts("embodiment")):
            rows = np.flatnonzero(chosen & (layers == layer_code) & (embodiments == embodiment_code))
            if len(rows):
                yield str(layer), str(embodiment), rows


def _kinds_there(dataset: Dataset, rows: NDArray[np.int64]) -> set[str]:
    units = {dataset.index.units[unit] for unit in np.unique(dataset.index.unit_of_row[rows])}
    names = {name for unit_id in units for name in dataset.arrays(unit_id)}
    return {name.removeprefix("action/") for name in names if name.startswith("action/")}


def _weights(cells: Sequence[Cell], mixture: Mixture) -> list[float]:
    """The share of each cell, not normalised."""
    frames = [float(cell.frames) for cell in cells]
    if mixture.balance == "frames":
        shares = [count**mixture.frames_power for count in frames]
    elif mixture.balance == "layers":
        of_layer: dict[str, float] = {}
        for cell, count in zip(cells, frames, strict=True):
            of_layer[cell.layer] = of_layer.get(cell.layer, 0.0) + count
        shares = [count / of_layer[cell.layer] for cell, count in zip(cells, frames, strict=True)]
    else:
        of_source: dict[int, float] = {}
        for cell, count in zip(cells, frames, strict=True):
            of_source[id(cell.source)] = of_source.get(id(cell.source), 0.0) + count
        shares = [count / of_source[id(cell.source)] for cell, count in zip(cells, frames, strict=True)]
    return [
        share
        * (1.0 if cell.source.weight is None else cell.source.weight)
        * mixture.layer_weights.get(cell.layer, 1.0)
        * mixture.embodiment_weights.get(cell.embodiment, 1.0)
        * (mean_confidence(cell) if mixture.confidence == "share" else 1.0)
        for cell, share in zip(cells, shares, strict=True)
    ]


def mean_confidence(cell: Cell) -> float:
    """How sure the labels of a cell are, 0..1: the mean over their steps and the parts of the action; 1 for actions
    without a confidence."""
    ranked = sorted(cell.episodes, key=lambda name: content_id("few", name))[:_LOOKED_AT]
    sure = []
    for episode_id in ranked:
        arrays = cell.dataset.episode(episode_id).arrays
        if (confidence := arrays.get(f"label/confidence/{cell.kind}")) is not None:
            sure.append(confidence[arrays.get(f"label/valid/{cell.kind}", np.ones(len(confidence), bool))])
    return float(np.concatenate(sure).mean()) if sum(map(len, sure)) else 1.0


def split_episodes(cells: Sequence[Cell], held_out_share: float) -> tuple[list[Source], list[Source]]:
    """Training and held-out sources. Which episodes are held out follows from their ids, the same for every kind."""
    training, held_out = [], []
    for cell in cells:
        ranked = sorted(cell.episodes, key=lambda name: content_id("held out", name))
        count = round(len(ranked) * held_out_share)
        training.append(cell.reader_source(frozenset(ranked[count:])))
        if count:
            held_out.append(cell.reader_source(frozenset(ranked[:count])))
    return training, held_out


def snapshot_of(cells: Sequence[Cell], mixture: Mixture) -> dict[str, list[str]]:
    """Folder of each data set -> ids of the units that were there when the run began; those of weight 0 too."""
    left_out = {source.dataset for source in mixture.sources} - {cell.source.dataset for cell in cells}
    units_of = {name: set(Dataset.open(Path(name)).units()) for name in left_out}
    for cell in cells:
        units_of.setdefault(cell.source.dataset, set()).update(cell.dataset.units())
    return {name: sorted(units) for name, units in units_of.items()}
