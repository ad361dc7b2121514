"""Gain and offset of one source, fitted on a few labelled clips of it.

On sources unlike the training data the scale of the labels is off before their shape is (D2E found
factors of three on unseen games and about one after a few clips). A ridge towards gain 1 and offset 0 keeps few or
dull clips from doing harm.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.atomic_files import write_whole
from storage.errors import CorruptFileError, SchemaError

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """action = gain x label + offset, dimension by dimension (D,)."""

    gain: Array
    offset: Array

    def apply(self, labels: Array) -> Array:
        adjusted: Array = labels * self.gain + self.offset
        return adjusted

    def write(self, path: Path) -> None:
        record = {"gain": self.gain.tolist(), "offset": self.offset.tolist()}
        write_whole(Path(path), json.dumps(record, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> "Adjustment":
        try:
            record = json.loads(Path(path).read_text())
            return cls(gain=np.asarray(record["gain"], float), offset=np.asarray(record["offset"], float))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{path} holds no gain and offset: {error}") from error


def fit_adjustment(
    labels: Sequence[Array], truths: Sequence[Array], *, switch: NDArray[np.bool_] | None = None, ridge: float = 10.0
) -> Adjustment:
    """Gain and offset from labelled clips: labels and true actions (T, D) of the same steps. `ridge` counts as that
    many steps of typical size that need no adjustment; `switch` numbers are left alone."""
    if not labels or len(labels) != len(truths):
        raise SchemaError(
            f"an adjustment takes as many labels as true actions, at least one; got {len(labels)}, {len(truths)}"
        )
    x, y = np.concatenate(labels).astype(float), np.concatenate(truths).astype(float)
    if x.shape != y.shape:
        raise SchemaError(f"labels {x.shape} and true actions {y.shape} must have one shape")
    mean = x.mean(axis=0)
    centred = x - mean
    power = (centred**2).mean(axis=0)
    strength = ridge * np.where(power > 1e-12, power, 1.0)
    gain = ((centred * (y - y.mean(axis=0))).sum(axis=0) + strength) / ((centred**2).sum(axis=0) + strength)
    offset = (y - gain * x).sum(axis=0) / (len(x) + ridge)
    if switch is not None:
        gain, offset = np.where(switch, 1.0, gain), np.where(switch, 0.0, offset)
    return Adjustment(gain=gain, offset=offset)
