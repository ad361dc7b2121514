"""An order of windows for frames that have to be decoded from source videos: random, but a few stretches at a time.

Frames of a video come in groups of pictures, and one frame costs as much as all before it in its group. So windows are
drawn from RUNS_AT_ONCE runs at a time, each of RUN_WINDOWS neighbouring windows from a random place (a shuffle buffer,
as in WebDataset, without a state): every pass holds each window once, in another order, and decodes a group once.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from storage.training_reader.permutation import permute

RUN_WINDOWS, RUNS_AT_ONCE = 256, 16


def run_order(places: NDArray[np.int64], windows: int, key: int) -> NDArray[np.int64]:
    """The windows at `places` of a pass in runs: the runs in random order, and the windows of RUNS_AT_ONCE of them
    shuffled among one another."""
    runs, ends = _runs(windows, key)
    pool_ends = ends[np.minimum(np.arange(RUNS_AT_ONCE, len(runs) + RUNS_AT_ONCE, RUNS_AT_ONCE), len(runs)) - 1]
    pools = np.searchsorted(pool_ends, places, side="right")
    order = np.empty_like(places)
    for pool in np.unique(pools):
        mine = pools == pool
        begin = int(pool_ends[pool - 1]) if pool else 0
        inside = permute(places[mine] - begin, size=int(pool_ends[pool]) - begin, key=key + 1 + int(pool)) + begin
        run = np.searchsorted(ends, inside, side="right")
        order[mine] = runs[run] * RUN_WINDOWS + inside - np.where(run > 0, ends[run - 1], 0)
    return order


@lru_cache(maxsize=16)
def _runs(windows: int, key: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The runs of a pass in their order, and where in the pass each of them ends. The last run may be shorter."""
    count = -(-windows // RUN_WINDOWS)
    runs = permute(np.arange(count, dtype=np.int64), size=count, key=key)
    sizes = np.minimum(RUN_WINDOWS, windows - runs * RUN_WINDOWS)
    return runs, np.cumsum(sizes)
