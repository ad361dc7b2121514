"""The official Isaac-GR00T trainer on shards, without an export: hand this data set to its mixture in place of its own.

    python examples/groot_trainer.py runs/lift

With Isaac-GR00T installed, `make_step=VLAStepData` and its processor take the places of the two stand-ins below, and
the list of data sets of its `ShardedMixtureDataset` gets `dataset`.
"""

import sys
from pathlib import Path
from typing import Any

from groot.training.official_dataset import OfficialDataset
from storage.datasets.dataset import Dataset


def processor(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Stands in for the trainer's processor."""
    step = messages[0]["content"]
    return {"text": step["text"], "actions": {part: chunk.shape for part, chunk in step["actions"].items()}}


folder = Path(sys.argv[1])
cameras = sorted({camera for layout in Dataset.open(folder).index.layouts for camera in layout["cameras"]})
dataset = OfficialDataset(
    folder,
    "new_embodiment",
    views={camera: (camera,) for camera in cameras},
    make_step=dict,  # VLAStepData
    horizon=8,
)
dataset.set_processor(processor)
print(f"{len(dataset)} shards, the first of {dataset.get_shard_length(0)} steps")
print(dataset.get_shard(len(dataset) - 1)[0])
print({key: list(parts) for key, parts in dataset.get_dataset_statistics().items()})
