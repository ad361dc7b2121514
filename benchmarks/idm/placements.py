"""The starter inverse dynamics model on both ranges of placements, with replays of both tasks.

    python -m benchmarks.idm.placements --model idm/starter      # or: python -m benchmarks idm_placements

New clips of the Panda that neither training nor calibration saw; the calibration is the one that ships, and what is
measured is exactly what `pyramid label idm` writes. A replay plays labels from the true initial state; its figure is a
share of the same for true actions. Quick: 4 clips of each task on each placement; whole: 40.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import print_table, result
from idm.evaluation.evaluate import EvaluateConfig, evaluate
from idm.labelling.label_config import model_folder
from idm.labelling.saved_model import load_idm
from storage.embodiment import PANDA

SEED = 59
TASKS, PLACEMENTS = ("lift", "stack"), ("D0", "D1")
BARS: Mapping[str, Mapping[str, float]] = {
    "D1: position R2": {"at_least": 0.88},
    "D1: gripper F1": {"at_least": 0.93},
    "D1: share of steps labelled": {"at_least": 0.95},
    "D1: coverage of 90 % intervals": {"at_least": 0.85, "at_most": 0.95},
    **{f"{where}: replay over truth, lift": {"at_least": 0.75} for where in PLACEMENTS},
    **{f"{where}: replay over truth, stack": {"at_least": 0.5} for where in PLACEMENTS},
}


def run(quick: bool, model: str = "starter") -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    figures: dict[str, float] = {}
    for where in PLACEMENTS:
        figures |= {f"{where}: {name}": value for name, value in measured(model, where, 4 if quick else 40).items()}
        print_table(figures, {name: bar for name, bar in BARS.items() if name in figures})
    return result(figures, BARS)


def measured(model: str, placement: str, episodes: int) -> dict[str, float]:
    """Figures of a model on fresh clips of one placement."""
    from benchmarks.idm.panda_clips import Clips, generate
    from workflows.models.replay_actions import Replayer

    loaded, head = load_idm(model_folder(model)), PANDA.name
    clips = {task: generate(Clips(episodes=episodes, seed=SEED, tasks=(task,), placement=placement)) for task in TASKS}
    config = EvaluateConfig(crosswise=False, replays=episodes)
    both = evaluate(loaded, head, [episode for some in clips.values() for episode in some], config)
    figures = {
        "position R2": both["r2/position"],
        "rotation R2 where it moves": both["r2_where_moving/rotation"],
        "gripper F1": both["event_f1/6"],
        "share of steps labelled": both["valid_share"],
        "coverage of 90 % intervals": both["coverage"],
        "error of the least sure fifth over the rest": both["least_sure_ratio/mixture"],
    }
    for task, some in clips.items():
        of_range = evaluate(loaded, head, some, config, replay=Replayer())
        figures[f"replay of truth, {task}"] = of_range["replay_success/truth"]
        figures[f"replay of labels, {task}"] = of_range["replay_success/labels"]
        figures[f"replay over truth, {task}"] = of_range["replay_ratio"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idm.placements", description=__doc__)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    run(given.quick, str(Path(given.model)) if given.model != "starter" else given.model)


if __name__ == "__main__":
    main()
