"""The starter judge on clips that nobody recorded: those of the starter video model, in held-out scenes.

    python -m benchmarks judge_dreams [--quick]

All are asked about under "lift the red cube": dreams of Lift from both placements, and dreams of
the green cube put on the red one. Whether the red cube has left its place is measured in the pictures, by a rule that
is checked here against the simulator's state on the true clips of the same scenes. Beside it, how the judge agrees with
what the predicted actions of the Lift clips do when they are played in the simulator.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judge.dreamed import Clip, left_place
from benchmarks.measure import cache_folder, print_table, result
from benchmarks.neural import dreams
from benchmarks.neural.clips import CAMERA, HELD_OUT_SEED, SHAPE, clips_of
from generators.neural.clip_shape import cut_clip
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from judges.calibration import Case, agreement
from judges.execution import ExecutionConfig, JudgeExecution
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import JudgeByModel
from storage.episode import Episode
from storage.ids import Randomness
from storage.outcomes import Kept, Outcome
from storage.verdicts.verdicts import Verdict

ASKED = "lift the red cube"
SCENES = (("lift", "D0"), ("lift", "D1"), ("stack_green_on_red", "D0"))
RISEN_M = 0.04
"""A cube so high above its start has left its place."""
BARS = {"AUROC of the judge against the pictures": {"at_least": 0.8}}
RANDOM = Randomness(0, "judge_dreams")


def run(quick: bool) -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    figures = measured(cache_folder() / "neural-starter" / "data", scenes=8 if quick else 40)
    print_table(figures, BARS)
    return result(figures, BARS)


def measured(work: Path, *, scenes: int, seed: int = HELD_OUT_SEED, judge: str = "starter") -> dict[str, float]:
    """All figures of a judge, over `scenes` scenes of each kind."""
    model = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    datasets = [
        (task, clips_of(work, task, placement=placement, episodes=scenes, seed=seed)) for task, placement in SCENES
    ]
    parents = [(task, each) for task, dataset in datasets for each in list(dataset.episodes())[:scenes]]
    clips = dreams.dream(model, [parent for _, parent in parents])
    asked = [as_episode(clip, parent) for clip, (_, parent) in zip(clips, parents, strict=True)]
    questions = ModelConfig(model=judge, questions=("instruction",), replies="")
    said = verdicts(JudgeByModel(questions)(asked, RANDOM), "instruction")
    shown = [left_place(clip) for clip in clips]
    lifts = [number for number, (task, _) in enumerate(parents) if task == "lift"]
    works = executed([asked[number] for number in lifts], [dataset.root for _, dataset in datasets])
    return {
        "clips": float(len(clips)),
        "of them the red cube leaves its place in": float(np.mean(shown)),
        "of the Lift clips whose actions lift it when played": float(np.mean(works)),
        "the rule agrees with the simulator on true clips": rule_agrees([parent for _, parent in parents]),
        **named("of the judge against the pictures", said, shown),
        **named("of the judge against execution, Lift", [said[number] for number in lifts], works),
    }


def rule_agrees(parents: Sequence[Episode]) -> float:
    """The share of true clips of which `left_place` says what the cube's height says."""
    from workflows.models.replay_actions import Replayer

    replayer, agree = Replayer(), []
    for parent in parents:
        scene = replayer.scene(parent)
        joint = int(scene.model.body(_cube(scene.model)).jntadr[0])
        height = 1 + int(scene.model.jnt_qposadr[joint]) + 2
        states = parent.arrays["simulation/state"]
        last = min(round((SHAPE.frames - 1) / SHAPE.rate_hz * parent.rate_hz), len(states) - 1)
        agree.append(
            left_place(cut_clip(parent, CAMERA, SHAPE)) == (states[last, height] - states[0, height] > RISEN_M)
        )
    return float(np.mean(agree))


def _cube(model: Any) -> str:
    names = {model.body(number).name for number in range(model.nbody)}
    return "cube_main" if "cube_main" in names else "cubeA_main"


def executed(clips: Sequence[Episode], roots: Sequence[Path]) -> list[bool]:
    """Whether the predicted actions of clips solve the task, played from the true state."""
    from idm.labelling.label import Labeller
    from idm.labelling.label_config import model_folder
    from idm.labelling.saved_model import load_idm
    from workflows.judging.judge_execution import PlayedFromTruth

    labeller, judge = (
        Labeller(load_idm(model_folder("starter"))),
        JudgeExecution(ExecutionConfig(), PlayedFromTruth(roots)),
    )
    labelled = []
    for clip in clips:
        labels = labeller.label(clip, clip.embodiment)
        arrays = {"action/predicted": labels.action.astype(np.float32), "label/valid/predicted": labels.valid}
        labelled.append(clip.adding(arrays=arrays))
    return [verdict is not None and bool(verdict.passed) for verdict in verdicts(judge(labelled, RANDOM), "execution")]


def as_episode(clip: Clip, parent: Episode) -> Episode:
    """A dream as `pyramid dream` stores it, under the instruction that is asked about."""
    return replace(
        dreams.as_episode(clip),
        episode_id=f"dream-{parent.episode_id}",
        parent_id=parent.episode_id,
        instruction=ASKED,
        provenance={"neural": {"first_frame": {"step": 0}}},
    )


def verdicts(outcomes: Sequence[Sequence[Outcome]], judge: str) -> list[Verdict | None]:
    """The verdict of one judge on each clip; None where it gave none."""
    found: list[Verdict | None] = []
    for (outcome,) in outcomes:
        records = outcome.episode.verdicts if isinstance(outcome, Kept) else ()
        read = [Verdict.from_json(record) for record in records]
        found.append(next((each for each in read if each is not None and each.judge == judge), None))
    return found


def named(what: str, said: Sequence[Verdict | None], truth: Sequence[bool]) -> dict[str, float]:
    """Figures of agreement, the AUROC with the ends of its interval."""
    found = agreement(
        [
            Case(score=verdict.score, passed=verdict.passed, right=right)
            if verdict
            else Case(score=None, passed=None, right=right)
            for verdict, right in zip(said, truth, strict=True)
        ]
    )
    auroc = {key: found["auroc"].get(key, float("nan")) for key in ("value", "low", "high")}
    return {
        f"AUROC {what}": auroc["value"],
        f"AUROC {what}, from": auroc["low"],
        f"AUROC {what}, to": auroc["high"],
        f"accuracy {what}": found["accuracy"]["value"],
        f"kappa {what}": found["kappa"].get("value", float("nan")),
    }
