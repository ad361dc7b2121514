"""The starter policy in closed loop: Lift from wide placements (D1) over numbers of demonstrations, and one model for
two instructions in one scene. Everything by the command line, as a person would; hours on two cores."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks import measure
from benchmarks.lapa_simulated import cache_folder

DEMONSTRATIONS = (10, 50, 200)
BARS = {"success, 200 demonstrations": {"at_least": 0.8}, "successes that are the task asked for": {"at_least": 0.85}}
PAIR = ("stack", "stack_green_on_red")


def run(quick: bool) -> dict[str, Any]:
    """Quick: few demonstrations, steps and scenes, and so no bar."""
    root = cache_folder() / ("groot-policy-quick" if quick else "groot-policy")
    steps, scenes = ("20", "2") if quick else ("0", "50")
    figures: dict[str, float] = {}
    lift = root / "lift"
    _pyramid("generate", "lift", "--placement", "D1", "--keep", "12" if quick else "210", "--output", str(lift))
    for count in (5,) if quick else DEMONSTRATIONS:
        model = root / f"lift-{count}"
        began_s = time.perf_counter()
        recipe = _recipe(root, {"mixture": {"sources": [{"dataset": str(lift), "episodes": count}]}})
        _pyramid("fit", "groot", "--recipe", str(recipe), "--steps", steps, "--output", str(model))
        figures[f"minutes to fit, {count} demonstrations"] = (time.perf_counter() - began_s) / 60
        found = _success(model, "lift", "D1", scenes)
        figures[f"success, {count} demonstrations"] = found["success"]
        figures[f"lower end, {count} demonstrations"] = found["interval"][0]
    figures |= _language(root, steps, scenes, keep="6" if quick else "120")
    bars = {} if quick else BARS
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _language(root: Path, steps: str, scenes: str, *, keep: str) -> dict[str, float]:
    """One model for both tasks: which of the two was done, over both instructions."""
    data = [root / task for task in PAIR]
    for task, folder in zip(PAIR, data, strict=True):
        _pyramid("generate", task, "--keep", keep, "--output", str(folder))
    _pyramid("fit", "groot", *map(str, data), "--steps", steps, "--output", str(root / "pair"))
    asked = other = 0
    for task, wrong in (PAIR, PAIR[::-1]):
        found = _success(root / "pair", task, "D0", scenes, "--also-check", wrong, "--horizon", "300")
        asked += found["successes"]
        other += found["also_reached"].get(wrong, 0)
    share = asked / max(1, asked + other)
    return {
        "success over both instructions": asked / (2 * int(scenes)),
        "successes that are the task asked for": share,
    }


def _success(model: Path, task: str, placement: str, scenes: str, *more: str) -> dict[str, Any]:
    output = model / f"roll-outs-{task}"
    where = ("--task", task, "--placement", placement, "--scenes", scenes, "--output", str(output))
    _pyramid("evaluate", "groot", str(model), *where, *more)
    found: dict[str, Any] = json.loads((output / "success.json").read_text())
    return found


def _recipe(root: Path, settings: dict[str, Any]) -> Path:
    path = root / "recipe.yaml"
    path.write_text(yaml.safe_dump({"preset": "starter", "held_out_share": 0.0, **settings}))
    return path


def _pyramid(*words: str) -> None:
    environment = {"MUJOCO_GL": "egl", **os.environ}
    subprocess.run([sys.executable, "-m", "workflows", *words], check=True, env=environment)
