"""The order in which windows are drawn: shuffled, mixed by weight, and a pure function of (seed, place in the stream).

The stream of a seed is endless and fixed. Batch number n of a run holds the places n * G ... (n + 1) * G - 1 of it,
where G is the batch size times the number of processes; each process takes its slice. So a run goes on from any batch,
with another number of loader workers, and with another number of processes where G stays the same.

Without weights, every N places in a row (N windows in all, counted from a multiple of N) hold each window once. With
weights, every 4,096 places in a row hold each source as often as its weight says, and each source goes through its own
windows, once each, before it repeats any.

Windows whose frames have to be decoded from a source video (codec `reference`) are drawn in runs, see `run_order`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError
from storage.frames import frame_codec
from storage.ids import Randomness
from storage.training_reader.permutation import permute
from storage.training_reader.run_order import run_order
from storage.training_reader.windows import Windows

BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class SamplerState:
    """A point of the stream: the next batch is number `step` of `epoch`. `windows` is the windows' fingerprint."""

    seed: int
    epoch: int
    step: int
    windows: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SamplerState":
        """The inverse of `to_json`."""
        return cls(**record)


class WindowSampler:
    """Batches of window numbers for one of `processes` training processes.

    Iterating gives the batches of the rest of the epoch at `seek`'s state (the beginning, at first), as a
    `batch_sampler` of torch's DataLoader does. A loader reads ahead, so a trainer saves `state_at(batches it used)`,
    not what the sampler has given out. An epoch is `epoch_windows` windows (all there are, by default), rounded up to
    whole batches.
    """

    def __init__(
        self,
        windows: Windows,
        *,
        batch_size: int,
        seed: int = 0,
        process: int = 0,
        processes: int = 1,
        epoch_windows: int | None = None,
    ) -> None:
        if batch_size < 1 or not 0 <= process < processes:
            raise ConfigError(
                f"a sampler needs batch_size >= 1 and 0 <= process < processes;"
                f" got {batch_size}, {process}, {processes}"
            )
        self.seed, self.batch_size = seed, batch_size
        self._process, self._global = process, batch_size * processes
        self._parts = _parts(windows)
        self._fingerprint = windows.table.fingerprint() + ("-runs" if any(part.in_runs for part in self._parts) else "")
        self.steps_per_epoch = -(-(epoch_windows or len(windows)) // self._global)
        self._at = 0

    def __len__(self) -> int:
        """Batches left in the epoch that iterating would give."""
        return self.steps_per_epoch - self._at % self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        first = self._at
        for number in range(first, first + len(self)):
            yield self.batch(number)
        self._at = first + len(self)

    def batch(self, number: int) -> list[int]:
        """The windows of batch `number`, counted over all epochs, for this process."""
        begin = number * self._global + self._process * self.batch_size
        numbers: list[int] = self.windows_at(np.arange(begin, begin + self.batch_size, dtype=np.int64)).tolist()
        return numbers

    def windows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of the windows at `places` of the stream."""
        if len(self._parts) == 1:
            return self._parts[0].windows_at(places, self.seed)
        blocks, slots = np.divmod(places, BLOCK)
        for block in np.unique(blocks):
            mine = blocks == block
            slots[mine] = permute(slots[mine], size=BLOCK, key=_key(self.seed, "block", int(block)))
        windows = np.empty_like(places)
        for part in self._parts:
            mine = (part.first_slot <= slots) & (slots < part.first_slot + part.slots)
            turns = blocks[mine] * part.slots + slots[mine] - part.first_slot
            windows[mine] = part.windows_at(turns, self.seed)
        return windows

    def state_at(self, batches: int) -> SamplerState:
        """The state after `batches` batches of the run have been used."""
        epoch, step = divmod(batches, self.steps_per_epoch)
        return SamplerState(seed=self.seed, epoch=epoch, step=step, windows=self._fingerprint)

    def seek(self, state: SamplerState) -> None:
        """Go on from `state`; raises ConfigError when it is of other windows, for it would mean something else here."""
        if state.windows != self._fingerprint:
            raise ConfigError(
                "the sampler's state is of other windows: the data sets or the window settings have changed since it"
                " was saved; open the data sets as they were, or begin a new run"
            )
        self.seed = state.seed
        self._at = state.epoch * self.steps_per_epoch + state.step


@dataclass(frozen=True)
class _Part:
    """A run of windows that is shuffled for itself, and its slots in each block of the mixture."""

    name: str
    first_window: int
    windows: int
    first_slot: int = 0
    slots: int = BLOCK
    in_runs: bool = False

    def windows_at(self, turns: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """The windows that this part gives at its own `turns`."""
        passes, places = np.divmod(turns, self.windows)
        windows = np.empty_like(turns)
        for number in np.unique(passes):
            mine = passes == number
            order = run_order if self.in_runs else _shuffled
            windows[mine] = order(places[mine], self.windows, _key(seed, self.name, int(number)))
        return windows + self.first_window


def _shuffled(places: NDArray[np.int64], windows: int, key: int) -> NDArray[np.int64]:
    return permute(places, size=windows, key=key)


def _parts(windows: Windows) -> list[_Part]:
    weights = [source.weight for source in windows.sources]
    named = _with_references(windows)
    if all(weight is None for weight in weights):
        return [_Part("all", 0, len(windows), in_runs=bool(named))]
    given = [weight for weight in weights if weight is not None]
    titles = [source.title for source in windows.sources]
    if len(given) != len(weights) or len(set(titles)) != len(titles):
        raise ConfigError(
            "give every source a weight and a name of its own, or none a weight;"
            f" got {[*zip(titles, weights, strict=True)]}"
        )
    ends = windows.table.source_ends()
    slots = _shares(np.asarray(given))
    parts, first_slot, first_window = [], 0, 0
    for number, (title, end, share) in enumerate(zip(titles, ends, slots, strict=True)):
        parts.append(_Part(title, first_window, end - first_window, first_slot, share, in_runs=number in named))
        first_slot, first_window = first_slot + share, end
    return parts


def _with_references(windows: Windows) -> set[int]:
    """The sources whose frames are decoded from source videos."""
    return {
        recipe.source
        for recipe in windows.table.recipe_of_unit
        if any(frame_codec(camera.codec).is_reference for camera in recipe.cameras.values())
    }


def _shares(weights: NDArray[np.float64]) -> list[int]:
    """BLOCK slots, shared out by weight: rounded down, the rest to the largest remainders. Each gets at least one."""
    exact = weights / weights.sum() * BLOCK
    shares = np.maximum(np.floor(exact), 1).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    while (rest := BLOCK - shares.sum()) != 0:
        if rest > 0:
            shares[order[:rest]] += 1
        else:
            shares[np.argmax(shares)] -= 1
    return [int(share) for share in shares]


@lru_cache(maxsize=4096)
def _key(seed: int, name: str, number: int) -> int:
    return Randomness(seed, "windows").seed_of(f"{name}/{number}")
