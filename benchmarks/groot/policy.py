"""The starter policy in closed loop: Lift from wide placements (D1) over numbers of demonstrations, and one model for
two instructions in one scene. Everything is generated, fitted and rolled out here; hours on two cores, so it goes in
parts, each of which is kept in the cache folder and not done again:

    python -m benchmarks.groot.policy lift-10 lift-50 lift-200 told     # or any of them
    python -m benchmarks groot_policy                                   # what is not there yet, and the table
    python -m benchmarks.groot.policy starter                           # `told`, put into groot/starter with its card
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import measure
from benchmarks.lapa.simulated import cache_folder

BARS = {"success, 200 demonstrations": {"at_least": 0.8}, "successes that are the task asked for": {"at_least": 0.85}}
STARTER = Path(__file__).parents[2] / "groot" / "starter"
PAIR = ("pick_red", "pick_green")
POST_TRAINING = {"stage": "posttrain"}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done. The schedule is of 3,000 steps; the fits end at `lift_steps` of it, at `told_steps`
    of the 2,500 of the model that is told what to do, with the weights averaged so far."""

    lift: int = 250
    pair: int = 110
    lift_steps: int = 2000
    told_steps: int = 1500
    scenes: int = 50
    told_scenes: int = 30


QUICK = Size(lift=12, pair=6, lift_steps=10, told_steps=10, scenes=2, told_scenes=2)


def run(quick: bool) -> dict[str, Any]:
    """Quick: few demonstrations, steps and scenes, and so no bar."""
    figures: dict[str, float] = {}
    for name in ("lift-10", "told") if quick else PARTS:
        figures |= part(name, quick=quick)
    bars = {} if quick else BARS
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def part(name: str, *, quick: bool = False) -> dict[str, float]:
    """The figures of one part, from the cache folder where it was done before."""
    root = cache_folder() / ("groot-policy-quick" if quick else "groot-policy")
    kept = root / f"{name}.json"
    if not kept.exists():
        figures = PARTS[name](root, QUICK if quick else Size())
        kept.write_text(json.dumps(figures))
    measured: dict[str, float] = json.loads(kept.read_text())
    return measured


def _lift(root: Path, size: Size, count: int) -> dict[str, float]:
    """Lift with `count` demonstrations: all of the fit's settings but those are the same."""
    began_s = time.perf_counter()
    model = _lift_model(root, size, count)
    minutes = (time.perf_counter() - began_s) / 60
    success = _success(model, "lift", "D1", size.scenes)
    return {
        f"success, {count} demonstrations": success["success"],
        f"lower end, {count} demonstrations": success["interval"][0],
        f"upper end, {count} demonstrations": success["interval"][1],
        f"minutes to fit, {count} demonstrations": minutes,
    }


def _lift_model(root: Path, size: Size, count: int) -> Path:
    data, model = root / "lift", root / f"lift-{count}"
    if not (model / "card.json").exists():
        _pyramid("generate", "lift", "--placement", "D1", "--keep", str(size.lift), "--output", str(data))
        source = {"dataset": str(data), **({"episodes": count} if count < 200 else {})}
        settings = {
            "held_out_share": 0.2 if count == 200 else 0.0,
            "mixture": {**POST_TRAINING, "sources": [source]},
            "fit": {"steps": 3000, "save_every": 250, "log_every": 50},
        }
        _fit(root, model, settings, stop_at=size.lift_steps)
    return model


def _told(root: Path, size: Size) -> dict[str, float]:
    """One model for both picks, begun from the Lift policy: which of the two was done, over both instructions."""
    initial, model = _lift_model(root, size, 200), root / "told"
    if not (model / "card.json").exists():
        for task in PAIR:
            _pyramid("generate", task, "--keep", str(size.pair), "--output", str(root / task))
        settings = {
            "held_out_share": 0.05,
            "initial": str(initial),
            "mixture": {**POST_TRAINING, "sources": [{"dataset": str(root / task)} for task in PAIR]},
            "fit": {"steps": 2500, "save_every": 250, "log_every": 50, "warm_up_share": 0.04},
        }
        _fit(root, model, settings, stop_at=size.told_steps)
    asked = other = 0
    for task, wrong in (PAIR, PAIR[::-1]):
        success = _success(model, task, "D0", size.told_scenes, "--also-check", wrong)
        asked += success["successes"]
        other += success["also_reached"].get(wrong, 0)
    return {
        "success over both instructions": asked / (2 * size.told_scenes),
        "successes that are the task asked for": asked / max(1, asked + other),
    }


def ship(told: Path, figures: Mapping[str, float], size: Size, output: Path) -> None:
    """Put the policy in `told`, whose `figures` were measured, into `output` as the starter."""
    from groot.checkpoint import ModelCard
    from groot.training.saved_policy import load_policy, save_policy

    card = ModelCard(
        kind="groot",
        preset="starter",
        config={},
        data={task: {"placement": "D0", "generated": size.pair, "held_out_share": 0.05} for task in PAIR},
        training={
            "command": "python -m benchmarks.groot.policy starter",
            "steps": size.told_steps,
            "begun_from": f"lift, D1, {size.lift} generated, held_out_share 0.2, {size.lift_steps} steps",
        },
        metrics={**figures, "scenes": 2 * size.told_scenes, "execute_steps": 4},
    )
    save_policy(output, load_policy(told), card)


def _starter(root: Path, size: Size) -> dict[str, float]:
    figures = part("told")
    ship(root / "told", figures, size, STARTER)
    return figures


PARTS: Mapping[str, Callable[[Path, Size], dict[str, float]]] = {
    **{f"lift-{count}": partial(_lift, count=count) for count in (10, 50, 200)},
    "told": _told,
}


def _fit(root: Path, model: Path, settings: dict[str, Any], *, stop_at: int) -> None:
    """Fit in a process of its own, and keep the averaged weights of step `stop_at`."""
    recipe = root / f"{model.name}.yaml"
    recipe.write_text(yaml.safe_dump({"preset": "starter", **settings}))
    code = f"from benchmarks.groot.policy import fit_until; fit_until({str(recipe)!r}, {str(model)!r}, {stop_at})"
    subprocess.run([sys.executable, "-c", code], check=True)


def fit_until(recipe: str, model: str, stop_at: int) -> None:
    """Fit the recipe until step `stop_at` of its schedule and save the policy in `model`."""
    import logging

    from groot.training.fit_policy import fit_policy
    from groot.training.saved_policy import save_policy
    from workflows.models.training import fit_config

    logging.basicConfig(level=logging.INFO)
    config = fit_config([], preset="starter", recipe=Path(recipe))
    fitted = fit_policy(config, Path(model), stop_at=stop_at, tensorboard=False)
    save_policy(Path(model), fitted.policy, fitted.card)


def _success(model: Path, task: str, placement: str, scenes: int, *more: str) -> dict[str, Any]:
    output = model / f"roll-outs-{task}"
    where = ("--task", task, "--placement", placement, "--scenes", str(scenes), "--output", str(output))
    _pyramid("evaluate", "groot", str(model), *where, *more)
    success: dict[str, Any] = json.loads((output / "success.json").read_text())
    return success


def _pyramid(*words: str) -> None:
    environment = {"MUJOCO_GL": "egl", **os.environ}
    subprocess.run([sys.executable, "-m", "workflows", *words], check=True, env=environment)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PARTS:
        print(json.dumps(_starter(cache_folder() / "groot-policy", Size()) if chosen == "starter" else part(chosen)))
