"""What reading a data set loads: start-up time and memory of every worker depend on it."""

import subprocess
import sys
from pathlib import Path

from storage.testing import tiny_dataset

PROGRAM = """
import sys
from pathlib import Path
from storage.datasets.dataset import Dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows
windows = Windows([Source(dataset=Dataset.open(Path(sys.argv[1])))], WindowConfig(cameras={"front": ("front",)}))
assert windows[3]["image_mask"]["front"].all()
print(*{"torch", "ray", "zarr", "pandas", "mujoco"} & sys.modules.keys())
"""


def test_reading_loads_neither_torch_nor_ray_nor_a_zarr_library(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    dataset.compact()
    command = [sys.executable, "-c", PROGRAM, str(dataset.root)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == []
