"""Our shards as a data set of the official Isaac-GR00T trainer (N1.6, N1.7), without an export.

Its mixture loader asks a data set for shards of processed steps, their lengths and statistics; the class below has
those methods and needs nothing of that package. A step becomes whatever `make_step` makes of keyword arguments images,
states, actions, text and embodiment (its VLAStepData). As there, the last steps of an episode start no sample, chunks
are absolute (its processor makes them relative), and statistics are of all steps; those of relative chunks, step by
step of the horizon, are of the keys that an export declares relative (`storage.formats.groot.action_keys`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.datasets.dataset import Dataset
from storage.datasets.merged_statistics import merged_statistics
from storage.embodiment import Layout, embodiment_named
from storage.errors import ConfigError, WorkFailedError
from storage.formats.groot.action_keys import action_keys
from storage.formats.groot.relative_statistics import relative_statistics_of
from storage.formats.groot.versions import RULES
from storage.ids import Randomness
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.permutation import permute
from storage.training_reader.windows import Windows

STEP_MESSAGE = "episode_step"


class OfficialDataset:
    """Shards of `shard_size` steps in random order, each step once. `views` maps the trainer's video keys to cameras;
    state and action keys are the parts of the embodiment's vectors."""

    def __init__(
        self,
        dataset: Path,
        embodiment_tag: Any,
        *,
        views: Mapping[str, tuple[str, ...]],
        make_step: Callable[..., Any] = dict,
        horizon: int = 16,
        shard_size: int = 1024,
        seed: int = 42,
    ) -> None:
        opened = Dataset.open(dataset)
        embodiments = {str(layout["embodiment"]) for layout in opened.index.layouts}
        if len(embodiments) != 1:
            raise ConfigError(f"one data set of the trainer is of one embodiment; {dataset} has {sorted(embodiments)}")
        self.dataset_path, self.embodiment_tag = dataset, embodiment_tag
        self.processor: Any = None
        self._dataset, self._embodiment = opened, embodiment_named(embodiments.pop())
        self._make_step = make_step
        config = WindowConfig(cameras=dict(views), horizon_steps=horizon, pad_actions=False)
        self._windows = Windows([Source(dataset=opened)], config)
        self._size, self._key = shard_size, Randomness(seed, "official_dataset").seed_of("shards")

    def __len__(self) -> int:
        """Number of shards."""
        return -(-len(self._windows) // self._size)

    def get_shard_length(self, idx: int) -> int:
        """Number of steps of shard `idx`."""
        return len(self._numbers(idx))

    def set_processor(self, processor: Any) -> None:
        """What makes a model's input of a list with one message."""
        self.processor = processor

    def get_shard(self, idx: int) -> list[Any]:
        """The processed steps of shard `idx`."""
        if self.processor is None:
            raise WorkFailedError("the trainer sets a processor before it asks for shards; call set_processor first")
        steps = self.steps(idx)
        return [self.processor([{"type": STEP_MESSAGE, "content": step}]) for step in steps]

    def steps(self, idx: int) -> list[Any]:
        """The steps of shard `idx` before the processor."""
        batch = self._windows.batch(self._numbers(idx))
        states, actions = (_parts(batch[name], layout) for name, layout in self._layouts())
        return [
            self._make_step(
                images={view: list(frames[row]) for view, frames in batch["images"].items()},
                states={part: values[row] for part, values in states.items()},
                actions={part: values[row] for part, values in actions.items()},
                text=batch["instruction"][row],
                embodiment=self.embodiment_tag,
            )
            for row in range(len(batch["step"]))
        ]

    def get_dataset_statistics(self) -> dict[str, dict[str, dict[str, list[Any]]]]:
        """state | action -> part -> mean, std, min, max, q01, q99, each a list; relative_action -> part -> the same,
        each a list for every step of the horizon."""
        statistics = merged_statistics(self._dataset)[self._embodiment.name]
        names = {"state": "state", "action": "action/ground_truth"}
        told: dict[str, dict[str, dict[str, list[Any]]]] = {
            name: {
                part: {
                    each: getattr(statistics[names[name]], each)[span].tolist()
                    for each in ("mean", "std", "min", "max", "q01", "q99")
                }
                for part, span in layout.slices().items()
            }
            for name, layout in self._layouts()
        }
        modality = {
            name: {part: {"start": span.start, "end": span.stop} for part, span in layout.slices().items()}
            for name, layout in self._layouts()
        }
        keys = action_keys(modality, self._embodiment, RULES["n1.7"])
        relative = relative_statistics_of(self._vectors(), keys, self._windows.config.horizon_steps)
        return {**told, "relative_action": relative} if relative else told

    def _vectors(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """States and actions of each episode."""
        for unit in sorted(self._dataset.units()):
            shard = self._dataset.shard(unit)
            states, actions = shard.array("state"), shard.array("action/ground_truth")
            for record in shard.episodes:
                span = slice(record["start"], record["start"] + record["length"])
                yield states[span], actions[span]

    def get_initial_actions(self) -> list[Any]:
        """None are kept apart."""
        return []

    def _layouts(self) -> Sequence[tuple[str, Layout]]:
        return (("state", self._embodiment.state), ("action", self._embodiment.action))

    def _numbers(self, idx: int) -> list[int]:
        if not 0 <= idx < len(self):
            raise IndexError(f"shards are numbered 0..{len(self) - 1}; got {idx}")
        places = np.arange(idx * self._size, min((idx + 1) * self._size, len(self._windows)))
        numbers: list[int] = permute(places, size=len(self._windows), key=self._key).tolist()
        return numbers


def _parts(vectors: NDArray[Any], layout: Layout) -> dict[str, NDArray[np.float32]]:
    return {part: vectors[..., span] for part, span in layout.slices().items()}
