"""How much memory a long clip and a large data set take: as much as a short clip and a small one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.datasets.dataset import Dataset
from storage.frames import Frames
from storage.testing import tiny_episode, write_unit

MEASURE = """
import resource, sys
from pathlib import Path
{work}
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
LABEL_IDM = """
from idm.labelling.label import LabelActions
from idm.labelling.label_config import IdmLabelConfig
from storage.datasets.dataset import Dataset
from storage.ids import Randomness
(episode,) = Dataset.open(sys.argv[1]).episodes()
config = IdmLabelConfig(unfamiliar="flag", covered="flag", camera_motion="flag", device="cpu")
((outcome,),) = LabelActions(config)([episode], Randomness(0, "memory"))
labels = outcome.episode.arrays["label/valid/predicted"]
assert len(labels) == episode.length and labels.mean() > 0.9, labels.mean()
"""
LABEL_LAPA = """
from lapa.labelling.label import LabelLatents
from lapa.labelling.label_config import LapaLabelConfig
from storage.datasets.dataset import Dataset
from storage.ids import Randomness
(episode,) = Dataset.open(sys.argv[1]).episodes()
((outcome,),) = LabelLatents(LapaLabelConfig(force=True, device="cpu"))([episode], Randomness(0, "memory"))
assert hasattr(outcome, "episode"), outcome
assert outcome.episode.arrays["label/valid/latent"].mean() > 0.9
"""
FIT_IDM = """
from dataclasses import replace
from groot.fit import FitConfig
from idm.fitting.fit import IdmFitConfig, fit
from idm.presets import preset
from storage.datasets.dataset import Dataset
from storage.training_reader.training_data import TrainingData
config = IdmFitConfig(model=replace(preset("tiny"), views=("front",)), batch_size=8,
                      fit=FitConfig(steps=30, device="cpu", log_every=30))
fit([TrainingData(dataset=Dataset.open(sys.argv[1]), held_out_share=0.1)], config, Path(sys.argv[2]))
"""
TWENTY_MINUTES = 20 * 60 * 20


def peak_mb(work: str, *arguments: str) -> int:
    """The most memory that `work` took, in a process of its own, mapped files included."""
    code = MEASURE.format(work=work)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split("PEAK")[1])


def _with_a_block(picture: np.ndarray, left: int) -> np.ndarray:
    """A block that moves in front of a scene that stands still."""
    shown = picture.copy()
    shown[90:150, left : left + 60] = (200, 40, 40)
    return shown


def long_clip(root: Path, steps: int) -> Path:
    """One episode of `steps` frames of 240x320, 20 kB each, as the Panda's front camera."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    some = Frames.encode([_with_a_block(picture, 2 * place) for place in range(100)])
    frames = Frames(payloads=[some.payloads[step % 100] for step in range(steps)], height_px=240, width_px=320)
    Dataset.create(root, name="long")
    write_unit(root, [replace(tiny_episode(0, length=steps, cameras=()), arrays={}, cameras={"agentview": frames})])
    return root


def large_dataset(root: Path, *, episodes: int, steps: int) -> Path:
    """Episodes whose frames of 240x320, stored without loss, take 230 kB each."""
    random = np.random.default_rng(0)
    some = Frames.encode(random.integers(0, 255, (10, 240, 320, 3), np.uint8), "lossless")
    payloads = [some.payloads[step % 10] for step in range(steps)]
    frames = Frames(payloads=payloads, height_px=240, width_px=320, codec="lossless")
    Dataset.create(root, name="large")
    write_unit(
        root,
        [
            replace(tiny_episode(seed, length=steps, rate_hz=10.0, cameras=()), cameras={"front": frames})
            for seed in range(episodes)
        ],
    )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("work", [LABEL_IDM, LABEL_LAPA], ids=["idm", "lapa"])
def test_a_clip_of_twenty_minutes_is_labelled_in_less_than_a_gigabyte(tmp_path: Path, work: str) -> None:
    assert peak_mb(work, str(long_clip(tmp_path / "long", TWENTY_MINUTES))) < 1000


@pytest.mark.slow
def test_a_fit_takes_less_memory_than_its_data_set(tmp_path: Path) -> None:
    data = large_dataset(tmp_path / "large", episodes=60, steps=100)
    size_mb = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) >> 20
    limit_mb = 1000
    assert size_mb > 1.3 * limit_mb
    assert peak_mb(FIT_IDM, str(data), str(tmp_path / "model")) < limit_mb
