"""relative_stats.json: statistics of the relative action keys for every step of the horizon, as GR00T N1.6 and N1.7
compute them (gr00t/data/stats.py): over all windows that lie within an episode, action minus the state at the
window's start, or inverse(T_state) x T_action for poses."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.formats.groot.action_keys import ActionKey
from storage.formats.groot.rotation import matrix_of_rows, rows_of_matrix
from storage.formats.lerobot.parquet_columns import matrix, read_table


def relative_statistics(files: Sequence[Path], keys: Sequence[ActionKey], horizon: int) -> dict[str, Any]:
    """Action key -> min, max, mean, std, q01 and q99, each [horizon, D]; only relative keys, {} where there are none.

    Episodes shorter than the horizon have no window. Memory is that of all states and actions.
    """
    return relative_statistics_of(map(_vectors, files), keys, horizon)


def relative_statistics_of(
    episodes: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], keys: Sequence[ActionKey], horizon: int
) -> dict[str, Any]:
    """The same of states (T, S) and actions (T, D) of episodes; these are not read where no key is relative."""
    relative = [key for key in keys if key.kind != "absolute"]
    if not relative:
        return {}
    long_enough = [pair for pair in episodes if len(pair[0]) >= horizon]
    return {key.name: _of_key(key, long_enough, horizon) for key in relative} if long_enough else {}


def _vectors(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    table = read_table(path, ["observation.state", "action"])
    return matrix(path, table, "observation.state"), matrix(path, table, "action")


def _of_key(
    key: ActionKey, episodes: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], horizon: int
) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {name: [] for name in ("max", "min", "mean", "std", "q01", "q99")}
    for step in range(horizon):
        rows = np.concatenate(list(_changes(key, episodes, step, horizon)))
        low, high = np.quantile(rows, [0.01, 0.99], axis=0)
        told = {"max": rows.max(axis=0), "min": rows.min(axis=0), "q01": low, "q99": high}
        told |= {"mean": rows.mean(axis=0, dtype=np.float64), "std": rows.std(axis=0, dtype=np.float64)}
        for name, values in told.items():
            out[name].append(values.astype(np.float64).tolist())
    return out


def _changes(
    key: ActionKey, episodes: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], step: int, horizon: int
) -> Iterator[NDArray[np.float64]]:
    """For each episode the relative action (windows, D) at `step` of every window."""
    assert key.state is not None
    for states, actions in episodes:
        count = len(states) - horizon + 1
        reference = states[:count, key.state[0] : key.state[1]].astype(np.float64)
        wanted = actions[step : step + count, key.start : key.end].astype(np.float64)
        yield wanted - reference if key.kind == "relative joints" else relative_poses(reference, wanted)


def relative_poses(reference: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """inverse(T_reference) x T_wanted of poses (N, 9): xyz, then the first two rows of the rotation matrix."""
    turn, target = matrix_of_rows(reference[:, 3:]), matrix_of_rows(wanted[:, 3:])
    back = np.swapaxes(turn, 1, 2)
    move = (back @ (wanted[:, :3] - reference[:, :3])[..., None])[..., 0]
    return np.concatenate([move, rows_of_matrix(back @ target)], axis=1)
