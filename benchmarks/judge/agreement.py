"""The starter judge on held-out simulated clips whose truth is known: six tasks, two robots.

    python -m benchmarks judge_agreement      # simulates and draws its own held-out clips

Scores are the probability of "yes" at the answer, as the stage `judge_model` reads it; a sample of the clips goes
through the stage itself, frames stored as JPEG, and must come to the same verdicts.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks import measure
from benchmarks.judge.clips import HELD_OUT_SEED, Drawn, collect, load
from benchmarks.judge.lessons import (
    INSTRUCTIONS,
    NOTHING,
    WRONG,
    Lesson,
    Shown,
    caption_lesson,
    instruction_lesson,
    physics_lesson,
    show,
)
from benchmarks.judge.starter import Eyes, Packer, logits_of
from judges.vision_language.config import STARTER_FOLDER, ModelConfig
from judges.vision_language.judge import JudgeByModel
from storage.episode import Episode
from storage.frames import Frames
from storage.ids import Randomness, content_id
from storage.outcomes import Kept
from storage.verdicts.verdicts import Verdict

Array = NDArray[Any]
BARS = {
    "instruction_auroc": {"at_least": 0.9},
    "swapped_refused": {"at_least": 0.85},
    "reversed_refused": {"at_least": 0.9},
    "frozen_refused": {"at_least": 0.9},
    "vanished_auroc": {"at_least": 0.9},
    "warped_auroc": {"at_least": 0.9},
    "recaption_right": {"at_least": 0.8},
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about a clip, and the group that its figure belongs to."""

    clip: Shown
    lesson: Lesson
    group: str


def run(quick: bool) -> dict[str, Any]:
    """Every figure of the shipped starter."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = load(collect(Path(folder), attempts=2 if quick else 16, seed=HELD_OUT_SEED))
    figures = measured(drawn, STARTER_FOLDER)
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def measured(drawn: Sequence[Drawn], folder: Path) -> dict[str, float]:
    """Figures of the judge in `folder` on held-out episodes."""
    asker = Asker(folder)
    questions = list(_questions(drawn))
    scores = asker.chances(questions)
    figures = _instruction_figures(questions, scores) | _physics_figures(questions, scores)
    figures |= recaptioned(asker, drawn)
    figures["same_through_the_stage"] = _same_through_stage(questions, scores, folder)
    return figures


class Asker:
    """Asks a judge in batches, frames shared."""

    def __init__(self, folder: Path) -> None:
        from transformers import AyaVisionForConditionalGeneration

        self.model = AyaVisionForConditionalGeneration.from_pretrained(folder).eval()
        self.eyes, self.packer = Eyes(self.model), Packer()
        self.yes, self.no = (self.packer.words.convert_tokens_to_ids(word) for word in ("yes", "no"))

    @torch.no_grad()
    def chances(self, questions: Sequence[Question], *, batch: int = 24) -> Array:
        """The probability of "yes" against "no" of each question, (n,)."""
        chances_so_far = []
        for begin in range(0, len(questions), batch):
            part = questions[begin : begin + batch]
            packed = self.packer([each.clip for each in part], [[each.lesson] for each in part])
            logits = logits_of(self.model, self.eyes([each.clip for each in part]), packed, self.packer.patch)
            for row in range(len(part)):
                at = int((packed.targets[row] != -100).nonzero()[1, 0])  # behind the opening of the reply
                pair = torch.softmax(logits[row, at, [self.yes, self.no]], dim=-1)
                chances_so_far.append(float(pair[0]))
        return np.array(chances_so_far)

    @torch.no_grad()
    def caption(self, clip: Shown) -> str:
        """What the judge says a clip shows."""
        asked = Lesson(kind="caption", text="", reply="")
        packed = self.packer([clip], [[asked]])
        ids = packed.ids[:, :-1]  # without the end that stands for an empty reply
        states = self.eyes([clip])
        embeds = self.model.get_input_embeddings()(ids)
        seen = self.model.model.multi_modal_projector(states).reshape(-1, embeds.shape[-1])
        embeds = embeds.masked_scatter((ids == self.packer.patch)[..., None].expand_as(embeds), seen)
        made = self.model.generate(
            inputs_embeds=embeds, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
        text: str = self.packer.words.decode(made[0], skip_special_tokens=True)
        return " ".join(text.replace('{"caption": "', "").replace('"}', "").split())


def _questions(drawn: Sequence[Drawn]) -> Iterator[Question]:
    for number, one in enumerate(drawn):
        rng = np.random.default_rng([5, number])
        texts, others = INSTRUCTIONS[one.task], [task for task in INSTRUCTIONS if task != one.task]
        done = show(one, "done", rng)
        if done is not None:
            yield Question(clip=done, lesson=instruction_lesson(done, texts[0], right=True), group="done")
            swapped = [task for task in others if (one.task, task) != ("stack", "lift")]
            text = INSTRUCTIONS[str(rng.choice(swapped))][0]
            yield Question(clip=done, lesson=instruction_lesson(done, text, right=False), group="swapped")
        for shows in (*WRONG, "failed"):
            clip = show(one, shows, rng)
            if clip is not None:
                yield Question(clip=clip, lesson=instruction_lesson(clip, texts[0], right=True), group=shows)
        for shows in ("done", "vanished", "warped"):
            clip = show(one, shows, rng)
            lesson = None if clip is None else physics_lesson(clip)
            if clip is not None and lesson is not None:
                yield Question(clip=clip, lesson=lesson, group=f"physics {shows}")


def _instruction_figures(questions: Sequence[Question], scores: Array) -> dict[str, float]:
    groups = np.array([each.group for each in questions])
    wrong_groups = [group for group in ("swapped", *WRONG, "failed") if (groups == group).any()]
    refused = {
        f"{group.replace(' ', '_')}_refused": float((scores[groups == group] < 0.5).mean()) for group in wrong_groups
    }
    right = scores[groups == "done"]
    rng = np.random.default_rng(0)  # balanced: as many wrong clips as right ones, of every kind alike
    share = -(-len(right) // len(wrong_groups))
    wrong = np.concatenate([rng.permutation(scores[groups == group])[:share] for group in wrong_groups])
    truth = np.r_[np.ones(len(right)), np.zeros(len(wrong))]
    return {
        "questions": float(len(questions)),
        "instruction_auroc": float(roc_auc_score(truth, np.r_[right, wrong])),
        "done_accepted": float((right >= 0.5).mean()),
        **refused,
    }


def _physics_figures(questions: Sequence[Question], scores: Array) -> dict[str, float]:
    groups = np.array([each.group for each in questions])
    clean, figures = scores[groups == "physics done"], {}
    for name in ("vanished", "warped"):
        bad = scores[groups == f"physics {name}"]
        figures[f"{name}_auroc"] = float(
            roc_auc_score(np.r_[np.ones(len(clean)), np.zeros(len(bad))], np.r_[clean, bad])
        )
    return figures


def recaptioned(asker: Asker, drawn: Sequence[Drawn], *, most: int = 60) -> dict[str, float]:
    """Of clips under another task's instruction: the share that gets the right one and passes under it; and of clips
    in which nothing is completed, the share that says so."""
    right = said_nothing = failures = 0
    clips = [
        clip for n, one in enumerate(drawn) if (clip := show(one, "done", np.random.default_rng([9, n]))) is not None
    ]
    clips = clips[:: max(1, len(clips) // most)]
    for clip in clips:
        caption = asker.caption(clip)
        checked = instruction_lesson(clip, caption, right=True, kind="again")
        passes = asker.chances([Question(clip=clip, lesson=checked, group="again")])[0] >= 0.5
        wanted = caption_lesson(clip)
        right += wanted is not None and caption == INSTRUCTIONS[clip.drawn.task][0] and bool(passes)
        still = show(clip.drawn, "not moved", np.random.default_rng(0))
        if still is not None:
            failures += 1
            said_nothing += asker.caption(still) == NOTHING
    return {
        "recaption_right": right / max(1, len(clips)),
        "nothing_completed_said": said_nothing / max(1, failures),
    }


def _same_through_stage(questions: Sequence[Question], scores: Array, folder: Path, *, most: int = 40) -> float:
    """The share of a sample of clips to which the stage gives the same verdict."""
    sample = [n for n, each in enumerate(questions) if each.lesson.kind == "instruction"][
        :: max(1, len(questions) // most)
    ]
    judge = JudgeByModel(ModelConfig(model=str(folder), questions=("instruction",), replies=""))
    episodes = [_episode(questions[number]) for number in sample]
    same = 0
    for number, (outcome,) in zip(sample, judge(episodes, Randomness(0, "judge")), strict=True):
        verdict = Verdict.from_json(outcome.episode.verdicts[-1]) if isinstance(outcome, Kept) else None
        same += verdict is not None and verdict.passed == (scores[number] >= 0.5)
    return same / len(sample)


def _episode(question: Question) -> Episode:
    frames = Frames.encode([question.clip.drawn.frames[number] for number in question.clip.frames], "lossless")
    return Episode(
        episode_id=content_id(question.group, question.lesson.text, id(question.clip)),
        layer="simulation",
        embodiment="human",
        length=len(frames),
        rate_hz=2.0,
        instruction=question.lesson.text,
        cameras={"view": frames},
    )
