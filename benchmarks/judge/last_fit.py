"""The last fit of the starter judge: tower and projector learn to see bent arms and where things are, then words alone
to say it, of simulated clips and of those of the starter video model.

    python -m benchmarks.judge.last_fit CLIPS SCENES WHOLE OUTPUT      # about two hours on one core

While the language model learns, tower and projector rest, and a part of the loss asks whether what is shown is whole:
fitted together with everything else, tower and projector lost what they had just learned. What is saved are the mean
weights of the language model.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AyaVisionForConditionalGeneration

from benchmarks.judge import dreamed
from benchmarks.judge.clips import MORE_SEED, TRAINING_SEED, Drawn, load
from benchmarks.judge.lessons import INSTRUCTIONS, Lesson, Shown, instruction_lesson, physics_lesson, show, wrong_text
from benchmarks.judge.material.bends import teach
from benchmarks.judge.material.store import Look, Material, Tokens, material_of
from benchmarks.judge.optimise import set_rate, update
from benchmarks.judge.starter import WHOLE_KINDS, Packer, answers, asked, save

log = logging.getLogger(__name__)
USUAL, DREAMED = 4, 2
"""Clips of a step that are asked everything."""
KINDS = (*WHOLE_KINDS, *("done",) * 12)
"""What the simulated ones show: about half of them what they are asked about, for a judge that has seen mostly what
fails says no in doubt."""
PHYSICS = (("done", "warped", "vanished", "warped"), ("done", "warped", "done", "vanished"))
"""And those asked only whether they are whole: what they show, in turn."""
MOST_RATE, AVERAGE, SAVE_EVERY = 8e-4, 0.998, 500
PLAIN_SHARE = 0.5
Asking = tuple[Look, Sequence[Lesson]]


class Words:
    """The language model's fit: `step` after `step`, and the mean of its weights."""

    def __init__(self, model: AyaVisionForConditionalGeneration, drawn: Sequence[Drawn], dreams: Sequence[Drawn]):
        self.model, self.rng = model, np.random.default_rng(19)
        self.simulated = [material_of(number, one, self.rng) for number, one in enumerate(drawn)]
        self.dreams = [material_of(len(drawn) + number, one, self.rng) for number, one in enumerate(dreams)]
        self.tokens, self.packer = Tokens(model.model), Packer()
        model.requires_grad_(False)
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
        self.learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.mean = [parameter.detach().clone() for parameter in self.learned]

    def fit(self, steps: int, output: Path | None = None) -> None:
        """So many steps; the mean weights are in the model then, and in `output` now and then."""
        optimiser = torch.optim.AdamW(self.learned, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
        began_s = time.monotonic()
        for step in range(steps):
            set_rate(optimiser, MOST_RATE, step=step, share=step / steps)
            usual = [self._usual() for _ in range(USUAL)] + [
                self._dreamed() for _ in range(DREAMED if self.dreams else 0)
            ]
            whole = [self._whole(shows) for shows in PHYSICS[step % 2]]
            losses = self._loss(usual), self._loss(whole)
            update(optimiser, self.learned, losses[0] + losses[1])
            torch._foreach_lerp_(self.mean, [parameter.detach() for parameter in self.learned], 1 - AVERAGE)
            if step % 25 == 0:
                taken_s = time.monotonic() - began_s
                log.info("words, step %d: %.4f, of what is whole %.4f, %.0f s", step, *losses, taken_s)
            if output is not None and step % SAVE_EVERY == SAVE_EVERY - 1:
                now = [parameter.detach().clone() for parameter in self.learned]
                self._put(self.mean)
                save(self.model, output)
                self._put(now)
        self._put(self.mean)

    def _put(self, weights: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.learned, weights, strict=True):
            parameter.data.copy_(value)

    def _usual(self) -> Asking:
        look = self._look(self.simulated, str(self.rng.choice(KINDS)))
        return look, [*asked(look.clip, self.rng, whole=True), *self._again(look)]

    def _again(self, look: Look) -> list[Lesson]:
        """Whether a right and a wrong caption hold, in the words that captions are checked with."""
        if look.clip.shows == "warped" or (not look.clip.done and self.rng.random() < 0.5):
            return []
        task = look.clip.drawn.task
        said = ((INSTRUCTIONS[task][0], True), (wrong_text(task, self.rng), False))
        return [instruction_lesson(look.clip, text, right=right, kind="again") for text, right in said]

    def _dreamed(self) -> Asking:
        material = self.dreams[int(self.rng.integers(len(self.dreams)))]
        clip = dreamed.show(material.drawn, self.rng)
        return self._seen(material, clip), list(dreamed.lessons(clip, self.rng))

    def _whole(self, shows: str) -> Asking:
        look = self._look(self.simulated, shows)
        lesson = physics_lesson(look.clip)
        return look, [lesson] if lesson is not None else []

    def _look(self, among: Sequence[Material], shows: str) -> Look:
        """A clip of a random episode that can show it."""
        while True:
            material = among[int(self.rng.integers(len(among)))]
            drawn = material.bent_anew(self.rng) if shows == "warped" else material.drawn
            clip = show(drawn, shows, self.rng)
            if clip is not None:
                return self._seen(material, clip)

    def _seen(self, material: Material, clip: Shown) -> Look:
        plain = self.rng.random() < PLAIN_SHARE
        return Look(material=material, clip=clip, view=0 if plain else int(self.rng.integers(len(material.views))))

    def _loss(self, batch: Sequence[Asking]) -> Tensor:
        packed = self.packer([look.clip for look, _ in batch], [wanted for _, wanted in batch])
        logits = answers(self.model, self.tokens([look for look, _ in batch]), packed, self.packer.patch)
        return functional.cross_entropy(logits.flatten(0, 1), packed.targets.flatten(), ignore_index=-100)


def main() -> None:
    from generators.neural.models.load import load_model
    from generators.neural.models.options import ModelOptions

    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge.last_fit", description=__doc__)
    for name in ("clips", "scenes", "whole", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seeing", type=int, default=1800, help="steps of tower and projector")
    parser.add_argument("--words", type=int, default=12000, help="steps of the language model")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    drawn = load([path for seed in (TRAINING_SEED, MORE_SEED) for path in sorted(given.clips.glob(f"*-{seed}-*.npy"))])
    model = AyaVisionForConditionalGeneration.from_pretrained(given.whole)
    torch.manual_seed(0)
    teach(model, drawn, steps=given.seeing)
    video = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    words = Words(model, drawn, dreamed.collect(given.scenes, video, scenes=120))
    words.fit(given.words, given.output)
    save(model, given.output)


if __name__ == "__main__":
    main()
