"""The starter inverse dynamics model on Panda clips that it has never seen: accuracy, replay, confidence.

Clips come from the project's own generator with another seed than training. The model's own calibration is used as it
ships. Quick: 10 episodes of each task; whole: 40.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.measure import print_table, result
from idm.evaluation.evaluate import EvaluateConfig, evaluate, shift_scores
from idm.labelling.label import Labeller
from idm.labelling.label_config import model_folder
from idm.labelling.saved_model import IdmModel, load_idm
from idm.labelling.uncertainty import auroc
from storage.embodiment import PANDA
from storage.episode import Episode
from storage.labelling.labels import LabelFlag

TEST_SEED = 3
BARS: Mapping[str, Mapping[str, float]] = {
    "position R2": {"at_least": 0.9},
    "rotation R2 where it moves": {"at_least": 0.7},
    "gripper F1": {"at_least": 0.95},
    "replay of labels over replay of truth, Lift": {"at_least": 0.8},
    "drift over 16 steps, Lift": {"at_most": 0.08},
    "coverage of 90 % intervals": {"at_least": 0.85, "at_most": 0.95},
    "error of the least sure fifth over the rest": {"at_least": 1.5},
    "AUROC, shifted camera": {"at_least": 0.9},
    "AUROC, distractors": {"at_least": 0.9},
    "AUROC, unseen embodiment": {"at_least": 0.9},
}


def run(quick: bool) -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    figures = measured(load_idm(model_folder("starter")), episodes=10 if quick else 40)
    print_table(figures, BARS)
    return result(figures, BARS)


def measured(model: IdmModel, *, episodes: int, seed: int = TEST_SEED) -> dict[str, float]:
    """All figures of a model on freshly generated clips."""
    # MuJoCo is imported late: the graphics back-end is chosen by the environment.
    from benchmarks.idm.panda_clips import Clips, generate
    from benchmarks.idm.panda_replay import behind_a_patch, from_a_shifted_camera, with_distractors
    from workflows.models.replay_actions import Replayer

    lift, stack = (generate(Clips(episodes=episodes, seed=seed, tasks=(task,))) for task in ("lift", "stack"))
    other = generate(Clips(episodes=max(episodes // 2, 5), seed=seed, tasks=("two_arm_lift",)))
    head = PANDA.name
    config = EvaluateConfig(crosswise=False, replays=episodes)
    both = evaluate(model, head, [*lift, *stack], config)
    on_lift = evaluate(model, head, lift, config, replay=Replayer())
    few = [*lift[: episodes // 2], *stack[: episodes // 2]]
    shifts = {
        "shifted camera": from_a_shifted_camera(few),
        "distractors": with_distractors(few),
        "unseen embodiment": other,
    }
    figures = {
        "position R2": both["r2/position"],
        "rotation R2 where it moves": both["r2_where_moving/rotation"],
        "rotation R2, all steps": both["r2/rotation"],
        "gripper F1": both["event_f1/6"],
        "gripper F1, step by step": both["step_f1/6"],
        "replay of truth, Lift": on_lift["replay_success/truth"],
        "replay of labels, Lift": on_lift["replay_success/labels"],
        "replay of shuffled labels, Lift": on_lift["replay_success/shuffled"],
        "replay of labels over replay of truth, Lift": on_lift["replay_ratio"],
        "drift over 16 steps, Lift": on_lift["drift"],
        "coverage of 90 % intervals": both["coverage"],
        "error of the least sure fifth over the rest": both["least_sure_ratio/mixture"],
        "share of steps labelled": both["valid_share"],
    }
    for measure in ("stated", "members", "overlap", "distance"):
        figures[f"least sure fifth, {measure} alone"] = both[f"least_sure_ratio/{measure}"]
    scores = shift_scores(model, head, [*lift, *stack], shifts)
    figures |= {f"AUROC, {name.removeprefix('auroc/')}": value for name, value in scores.items()}
    figures["AUROC, a patch over the view"] = patch_score(model, head, few, behind_a_patch(few))
    figures["gain and offset on a quarter of the clips: error ratio"] = both["adjustment"]["error_ratio"]
    return figures


def patch_score(model: IdmModel, head: str, clean: list[Episode], covered: list[Episode]) -> float:
    """AUROC of the visibility flag: the share of a clip's steps that are flagged as covered."""
    labeller = Labeller(model, unlabels=LabelFlag(0))

    def share(episode: Episode) -> float:
        return float(np.mean((labeller.label(episode, head).flags & LabelFlag.COVERED) > 0))

    return auroc(np.array([share(clip) for clip in clean]), np.array([share(clip) for clip in covered]))
