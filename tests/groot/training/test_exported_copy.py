"""Training on shards is training on their exported copy: equal batches, actions to the bit, frames within the codec."""

from pathlib import Path

import numpy as np

from storage.datasets.dataset import Dataset
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.formats.lerobot.exporter import export_lerobot
from storage.formats.testing import read_parquet
from storage.testing import tiny_dataset, write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.sampler import WindowSampler
from storage.training_reader.windows import Windows

CONFIG = WindowConfig(cameras={"front": ("front",), "wrist": ("wrist",)}, horizon_steps=16)


def shards_and_copy(folder: Path) -> tuple[Windows, Windows, Path]:
    """Windows over shards, over their copy in LeRobot's format, and that copy."""
    data = tiny_dataset(folder / "shards", cameras=("front", "wrist"))
    ids = sorted(data.index.table["episode_id"].to_pylist())
    (exported,) = export_lerobot([data.episode(each) for each in ids], folder / "exported").paths
    back = Dataset.create(folder / "back", name="back")
    write_unit(back.root, list(read_episodes(ImportConfig(path=str(exported)))))
    shards, copy = (
        Windows([Source(dataset=Dataset.open(root))], CONFIG) for root in (folder / "shards", folder / "back")
    )
    return shards, copy, exported


def test_shards_and_their_exported_copy_give_the_same_batches(tmp_path: Path) -> None:
    shards, copy, _ = shards_and_copy(tmp_path)
    assert len(shards) == len(copy)
    place = {key: number for number, key in enumerate(_places(copy))}
    for number in range(3):
        chosen = WindowSampler(shards, batch_size=8).batch(number)
        keys = _places(shards, chosen)
        one, other = shards.batch(chosen), copy.batch([place[key] for key in keys])
        for name in ("state", "state_mask", "action", "action_mask", "step", "rate_hz"):
            assert one[name].tobytes() == other[name].tobytes(), name
        assert one["instruction"] == other["instruction"]
        for view in CONFIG.cameras:
            assert np.array_equal(one["image_mask"][view], other["image_mask"][view])
            error = np.square(one["images"][view].astype(float) - other["images"][view]).mean()
            assert 10 * np.log10(255**2 / error) > 30, "dB, of H.264 against JPEG"


def test_chunks_are_the_rows_of_the_exported_files(tmp_path: Path) -> None:
    shards, _, exported = shards_and_copy(tmp_path)
    files = sorted(exported.glob("data/chunk-000/*.parquet"))
    actions = [read_parquet(path)["action"].astype(np.float32) for path in files]
    batch = shards.batch(list(range(len(shards))))
    for row, (start, mask) in enumerate(zip(batch["step"], batch["action_mask"], strict=True)):
        steps = int(mask.any(axis=1).sum())
        chunk = batch["action"][row, :steps]
        assert any(np.array_equal(each[start : start + steps], chunk) for each in actions)


def _places(windows: Windows, numbers: list[int] | None = None) -> list[tuple[str, int]]:
    """Episode and step of each window."""
    numbers = list(range(len(windows))) if numbers is None else numbers
    batch = windows.batch(numbers)
    return [(windows.episode_id(batch, row), int(batch["step"][row])) for row in range(len(numbers))]
