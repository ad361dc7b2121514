"""The losses beside the flow's, and relative chunks: short real fits, with what is validated after the first step and
at the end. Detection and FLARE on generated Lift with boxes by the starter detector; relative chunks on GR-1."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.lapa.simulated import cache_folder
from groot.training.fit_policy import fit_policy
from groot.training.mixture_config import Mixture, MixtureSource
from groot.training.policy_config import GrootFitConfig
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import EngineOptions, run_job
from storage.datasets.dataset import Dataset

BARS = {
    "detection, last over first": {"at_most": 0.7},
    "future, last over first": {"at_most": 0.7},
    "relative chunks, last over first": {"at_most": 0.9},
}
GR1 = "gr1_sim_pick_place"


def run(quick: bool) -> dict[str, Any]:
    """The tiny preset, which has both losses; the starter for relative chunks. Quick: a tenth of the steps, no bar."""
    root = cache_folder() / ("groot-auxiliary-quick" if quick else "groot-auxiliary")
    steps = 40 if quick else 400
    figures = _boxes_and_future(root, steps)
    if (Path(os.environ.get("PYRAMID_REAL_DATA", "")) / GR1).is_dir():
        figures |= _relative(root, steps)
    bars = {} if quick else {name: bar for name, bar in BARS.items() if name in figures}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _boxes_and_future(root: Path, steps: int) -> dict[str, float]:
    data = root / "lift"
    if not data.exists():
        _pyramid("generate", "lift", "--placement", "D1", "--keep", "40", "--output", str(data))
        _boxes(data)
    valid = [float(each.arrays["label/valid/box"].mean()) for each in Dataset.open(data, labels=("boxes",)).episodes()]
    config = _config(data, steps, labels=("boxes",))
    first, last = _first_and_last(config, root / "boxes-model")
    return {
        "share of frames with a box": sum(valid) / len(valid),
        **_change("detection", first["loss/detection"], last["loss/detection"]),
        **_change("future", first["loss/future"], last["loss/future"]),
    }


def _boxes(data: Path) -> None:
    dataset = Dataset.open(data)
    settings = {"query": "red cube", "cameras": ("agentview",), "threshold": 0.1}
    job = Job(
        name="boxes",
        stages=(("read_unit", {"labels": ()}), ("detect", settings)),
        units=label_units(dataset, dataset.units()),
        sink="labels/boxes",
        provides=fields_of(dataset, dataset.units()),
    )
    run_job(data, job, options=EngineOptions(engine="local"))


def _relative(root: Path, steps: int) -> dict[str, float]:
    data = root / "gr1"
    if not data.exists():
        source = Path(os.environ["PYRAMID_REAL_DATA"]) / GR1
        _pyramid("data", "import", str(source), "--height-px", "64", "--width-px", "64", "--output", str(data))
    base = _config(data, steps, preset="starter")  # 44 joints do not go through the 16 channels of the tiny one
    config = replace(base, model=replace(base.model, actions="state_relative"), batch_size=16)
    first, last = _first_and_last(config, root / "relative-model")
    return _change("relative chunks", first["error/gr1"], last["error/gr1"])


def _config(data: Path, steps: int, labels: tuple[str, ...] = (), preset: str = "tiny") -> GrootFitConfig:
    base = GrootFitConfig.of_preset(preset)
    head = replace(base.model.head, horizon=16, positions=64)
    return replace(
        base,
        model=replace(base.model, head=head),
        mixture=Mixture(stage="posttrain", sources=(MixtureSource(dataset=str(data), labels=labels),)),
        fit=replace(base.fit, steps=steps, log_every=50, average_decay=0.98),
        batch_size=32,
        held_out_share=0.2,
    )


def _first_and_last(config: GrootFitConfig, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """What is validated after one step, and after all of them."""
    first = fit_policy(config, folder, stop_at=1, tensorboard=False).result.figures
    return dict(first), dict(fit_policy(config, folder, tensorboard=False).result.figures)


def _change(name: str, first: float, last: float) -> dict[str, float]:
    return {f"{name}, first": first, f"{name}, last": last, f"{name}, last over first": last / first}


def _pyramid(*words: str) -> None:
    import subprocess
    import sys

    environment = {"MUJOCO_GL": "egl", **os.environ}
    subprocess.run([sys.executable, "-m", "workflows", *words], check=True, env=environment)
