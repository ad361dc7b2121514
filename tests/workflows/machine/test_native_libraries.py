"""Libraries with native code share one process in any order: drawing, decoding, labelling and fitting.

Each order runs in a new process, as a user's command does, since only the first import of a library can clash.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.datasets.dataset import Dataset

ROOT = Path(__file__).resolve().parents[3]

STEPS = {
    "draw": """
from generators.simulation.stepping.graphics_context import open_renderer
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light pos='0 0 2'/><geom size='.3'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with open_renderer(model, height_px=32, width_px=32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0
""",
    "decode": """
import tempfile
from pathlib import Path
import numpy as np
from storage.formats.video.reader import frames_of
from storage.formats.video.writer import write_video
video = Path(tempfile.mkdtemp()) / "one.mp4"
write_video([np.full((32, 32, 3), 200, np.uint8)] * 4, video, rate_hz=10)
assert len(list(frames_of(video))) == 4
""",
    "label": """
import vector_quantize_pytorch
from lapa.labelling.label import LabelLatents
from lapa.labelling.label_config import LapaLabelConfig
from lapa.testing import moving_episode
from storage.ids import Randomness
assert len(LabelLatents(LapaLabelConfig())([moving_episode(0)], Randomness(0, "label"))) == 1
""",
    "fit": """
import torch
from torch import nn
layer = nn.Conv2d(3, 8, 3)
layer(torch.ones(1, 3, 8, 8)).sum().backward()
assert layer.weight.grad.abs().sum() > 0
""",
}
ORDERS = ("draw label", "label draw", "fit draw", "decode draw label", "draw fit decode")


@pytest.mark.parametrize("order", ORDERS)
def test_a_process_survives(order: str) -> None:
    program = "\n".join(STEPS[step] for step in order.split())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


RECIPE = """
name: small
output: {output}
steps:
  - generate: {{name: lift, task: lift, keep: 2, sources: 2, size_px: 64}}
  - label: {{kind: idm, model: starter}}
  - label: {{kind: lapa, model: starter}}
  - report: {{gallery: 1}}
"""


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_the_demos_chain_in_small_ends_with_a_report(engine: str, tmp_path: Path) -> None:
    """Draw, label both ways and report, by the command, in a new process."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(output=tmp_path / "run"))
    command = [sys.executable, "-m", "workflows", "run", str(recipe), "--engine", engine]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    labelled = Dataset.open(tmp_path / "run", labels=("idm", "lapa"))
    assert all({"action/predicted", "action/latent"} <= episode.arrays.keys() for episode in labelled.episodes())
