"""Whether relabelled video is worth having: the shared model learns latent actions from simulated clips alone, or from
them and relabelled video, with the same budget, and predicts those of held-out video.

    python -m benchmarks relabel_worth

Simulated: demonstrations of a GR-1. Video: recordings of a real G1 that moves a bottle, as videos without actions,
through the step `watch`; four files that no fit sees are what is predicted. The starter of latent actions, which saw
neither robot, labels everything.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measure
from groot.fit import as_tensors
from groot.training.fit_policy import fit_policy
from groot.training.mixture import cells_of
from groot.training.mixture_config import Mixture, MixtureSource
from groot.training.policy_config import GrootFitConfig
from groot.training.prepare import Prepare, PrepareConfig
from groot.training.saved_policy import SavedPolicy
from storage.datasets.dataset import Dataset
from storage.testing import find_real_data
from storage.training_reader.config import WindowConfig
from storage.training_reader.windows import Windows
from workflows.recipes.recipe import load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe

SEEDS = (0, 1, 2)
VIEWS = {"front": ("view", "ego_view")}
WINDOWS, DRAWS = 256, 4


def run(quick: bool) -> dict[str, Any]:
    """R2 of predicted latents over held-out video, by arm and seed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYRAMID_SCRATCH")) as folder:
        data = _data(Path(folder), files=4 if quick else 20)
        _label(data)
        arms = {"simulated alone": ("simulated",), "with relabelled video": ("simulated", "training")}
        figures: dict[str, float] = {}
        for seed in SEEDS:
            for arm, names in arms.items():
                policy = _fitted([data[name] for name in names], Path(folder) / f"{arm} {seed}", seed, quick)
                figures[f"R2 of held-out latents, {arm}, seed {seed}"] = _r2(policy, data["held-out"])
    gains = [
        figures[f"R2 of held-out latents, with relabelled video, seed {seed}"]
        - figures[f"R2 of held-out latents, simulated alone, seed {seed}"]
        for seed in SEEDS
    ]
    figures["least gain of a seed"] = min(gains)
    figures["clips of training video"] = float(len(data["training"].index))
    bars = {"least gain of a seed": {"at_least": 0.0}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _data(folder: Path, *, files: int) -> dict[str, Dataset]:
    """The simulated set, and the relabelled sets of training and held-out files."""
    videos = sorted((find_real_data("g1_real_bottle") / "videos").rglob("*.mp4"))
    held_out = videos[::5][: 2 if files < 8 else 4]
    training = [path for path in videos if path not in held_out][:files]
    data = {"simulated": folder / "simulated"}
    _steps(data["simulated"], f"import: {{path: {find_real_data('gr1_sim_pick_place')}, layer: simulation}}")
    for name, paths in (("training", training), ("held-out", held_out)):
        (folder / f"{name} videos").mkdir()
        for path in paths:
            (folder / f"{name} videos" / path.name).symlink_to(path)
        data[name] = folder / name
        _steps(data[name], f'watch: {{path: "{folder}/{name} videos", frames: copy, rate_hz: 20}}')
    return {name: Dataset.open(root) for name, root in data.items()}


def _steps(root: Path, *steps: str) -> None:
    recipe = root.with_suffix(".yaml")
    recipe.write_text(f"name: {root.name}\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))
    list(run_recipe(load_recipe(recipe, output=str(root)), RunContext(root=root)))


def _label(data: dict[str, Dataset]) -> None:
    """Latents of the starter in all three sets, also of clips that it would leave out by itself: both arms learn from
    and are asked for the same kind of label."""
    for dataset in data.values():
        _steps(dataset.root, "label: {kind: lapa, model: starter, settings: {force: true}}")


def _fitted(datasets: list[Dataset], output: Path, seed: int, quick: bool) -> SavedPolicy:
    config = GrootFitConfig.of_preset("tiny", steps=200 if quick else 1500)
    sources = tuple(MixtureSource(dataset=str(each.root), labels=("lapa",), kinds=("latent",)) for each in datasets)
    config = replace(
        config,
        mixture=Mixture(sources=sources, balance="layers"),
        views=VIEWS,
        batch_size=16,
        normalisation="mean_std",
        held_out_share=0.0,
        fit=replace(config.fit, seed=seed, log_every=100),
    )
    return fit_policy(config, output, tensorboard=False).policy


def _r2(saved: SavedPolicy, dataset: Dataset) -> float:
    """Of the latents that the model predicts (the mean of a few draws), in their own units."""
    source = MixtureSource(dataset=str(dataset.root), labels=("lapa",), kinds=("latent",))
    (cell,) = cells_of(Mixture(sources=(source,)))[0]
    head = saved.heads[cell.head]
    config = saved.config
    layout = WindowConfig(
        cameras=saved.views,
        horizon_steps=config.head.horizon,
        horizon_s=saved.horizon_s,
        size_px=config.backbone.image_px,
    )
    windows = Windows([cell.reader_source(cell.episodes)], layout)
    asked = PrepareConfig(
        views=tuple(saved.views),
        state_size=config.head.state_size,
        action_size=config.head.action_size,
        encoder=config.backbone.kind,
    )
    prepare = Prepare(asked, [head], training=False)
    numbers = np.sort(np.random.default_rng(0).permutation(len(windows))[:WINDOWS])
    wrong: list[Any] = []
    truths: list[Any] = []
    for begin in range(0, len(numbers), 64):
        batch = windows.__getitems__(numbers[begin : begin + 64].tolist())
        tensors = as_tensors(prepare(batch))
        random = torch.Generator().manual_seed(begin)
        with torch.no_grad():
            draws = [
                saved.network.act(tensors, noise_BHD=torch.randn(tensors["actions"].shape, generator=random))
                for _ in range(DRAWS)
            ]
        chunk = torch.stack(draws).mean(dim=0).numpy()
        size = batch["action"].shape[2]
        told = head.actions(chunk[:, :, :size], batch["state"])
        mask = batch["action_mask"].all(axis=2)
        wrong.append((told - batch["action"])[mask])
        truths.append(batch["action"][mask])
    errors, truth = np.concatenate(wrong), np.concatenate(truths)
    return float(1 - (errors**2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum())
