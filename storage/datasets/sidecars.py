"""Sidecars: labels that were made after the images, in files of their own, in the row order of the shard they label.

    labels/<name>/<unit>.zarr        a shard without cameras, for the unit of the same id
    labels/<name>/manifest/<unit>.json

The rows of an episode that the labeller dropped are there but mean nothing; its manifest names it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.datasets.index import Index
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import CorruptFileError, UnknownNameError


def label_sinks(root: Path, names: Iterable[str]) -> tuple[Sink, ...]:
    """The sinks of the labels `names` of the data set in `root`; raises UnknownNameError."""
    known = {sink.name.removeprefix("labels/"): sink for sink in sinks_of(root) if sink.is_labels}
    try:
        return tuple(known[name] for name in names)
    except KeyError as error:
        raise UnknownNameError.among(f"label of {root}", str(error.args[0]), known) from None


def labelled_rows(base: Index, labels: Index, name: str) -> NDArray[np.int64]:
    """Of each row of the index of a label: the row of the same episode in the index of the data set.

    Raises CorruptFileError where they do not lie in the same units at the same places.
    """
    rows = [np.empty(0, dtype=np.int64)]
    for unit_id, (begin, end) in labels.rows_of_unit.items():
        first, behind = base.rows_of_unit.get(unit_id, (0, 0))
        if behind - first != end - begin:
            raise CorruptFileError(
                f"label {name!r} has {end - begin} episodes of unit {unit_id}, which has {behind - first};"
                " it was made for another data set"
            )
        rows.append(np.arange(first, behind, dtype=np.int64))
    return np.concatenate(rows)
