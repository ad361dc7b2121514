"""NaN where a label says that it is valid: refused by name before training, not met in the loss at night."""

from collections.abc import Sequence

import numpy as np

from groot.training.mixture import Cell
from storage.errors import ConfigError


def refuse_nan(cells: Sequence[Cell]) -> None:
    """Read the actions and states of all episodes of `cells`; raises ConfigError that names the first steps that count
    as valid and are not finite."""
    for cell in cells:
        for unit_id in sorted(cell.units):
            shard = cell.dataset.open_shard(unit_id)
            names = cell.dataset.arrays(unit_id)
            action = f"action/{cell.kind}"
            if action not in names:
                continue
            masks = [shard.array(name) for name in ("valid", f"label/valid/{cell.kind}") if name in names]
            valid = np.logical_and.reduce(masks) if masks else np.ones(len(shard.array(action)), bool)
            bad = valid & ~np.isfinite(shard.array(action)).all(axis=1)
            if bad.any():
                raise ConfigError(
                    f"{cell.dataset.root}, unit {unit_id}: {action} is NaN or infinite at {int(bad.sum())} steps that"
                    f" count as valid, the first at row {int(np.flatnonzero(bad)[0])}; label it again, or leave the"
                    " episodes out with a selection"
                )
