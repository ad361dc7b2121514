"""How the starter judge was first fitted: the detector's vision tower kept, projector and language model from scratch;
then all of it together. `benchmarks.judge.last_fit` goes on from there, to what ships.

    python -m benchmarks.judge.starter CLIPS DETECTOR FIRST --batch-size 6 --steps 14000
    python -m benchmarks.judge.starter CLIPS DETECTOR WHOLE --batch-size 4 --steps 2500 --start-from FIRST

The questions about one clip share its frames: they lie side by side behind the frames' tokens, each of them sees the
frames and itself alone, and the positions of all begin behind the frames. So one pass answers five questions, and what
is learned is what the model sees when it is asked one at a time.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import AyaVisionForConditionalGeneration

from benchmarks.judge.clips import TRAINING_SEED, Drawn, load
from benchmarks.judge.detector_starter import pixels_of
from benchmarks.judge.lessons import WRONG, Lesson, Shown, lessons, show
from benchmarks.judge.model import TOKENS_A_FRAME, make, processor, tokenizer
from benchmarks.judge.optimise import set_rate, update
from judges.vision_language.prompt import load_prompt

log = logging.getLogger(__name__)
KINDS = ("done",) * 5 + (*WRONG, "warped", "warped", "vanished", "failed")
"""What clips are drawn to show, as often as it stands here."""
WHOLE_KINDS = (*KINDS, *("done",) * 5, *("warped",) * 6, *("vanished",) * 2, "beside", "beside", "dropped")


class Eyes:
    """Hidden states of frames under the vision tower, (patches, width), each computed once unless the tower learns."""

    def __init__(self, model: AyaVisionForConditionalGeneration, *, learn: bool = False) -> None:
        self._tower, self._learn = model.model.vision_tower.eval(), learn
        self._seen: dict[tuple[int, int], torch.Tensor] = {}

    def __call__(self, clips: Sequence[Shown]) -> torch.Tensor:
        """(B * 8, patches, width)"""
        if self._learn:
            frames = np.stack([clip.drawn.frames[frame] for clip in clips for frame in clip.frames])
            states: torch.Tensor = self._tower(pixels_of(frames)).last_hidden_state[:, 1:]
            return states
        return self._kept(clips)

    @torch.no_grad()
    def _kept(self, clips: Sequence[Shown]) -> torch.Tensor:
        wanted = {(id(clip.drawn), frame): clip.drawn.frames[frame] for clip in clips for frame in clip.frames}
        fresh = [key for key in wanted if key not in self._seen]
        for begin in range(0, len(fresh), 32):
            keys = fresh[begin : begin + 32]
            states = self._tower(pixels_of(np.stack([wanted[key] for key in keys]))).last_hidden_state[:, 1:]
            self._seen.update(zip(keys, states.to(torch.float16), strict=True))
        return torch.stack([self._seen[id(clip.drawn), frame] for clip in clips for frame in clip.frames]).float()


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A batch in which the questions about a clip share its frames: `ids`, `positions` and `targets` (B, L; -100 where
    nothing is learned), `mask` (B, 1, L, L), true where a token sees another."""

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    mask: torch.Tensor


class Packer:
    """Clips and lessons to batches."""

    def __init__(self) -> None:
        self.words = tokenizer()
        names = ("<start>", "<|START_OF_IMG|>", "TILE_GLOBAL", "<|IMG_PATCH|>", "<|END_OF_IMG|>")
        start, begin, tile, self.patch, end = self.words.convert_tokens_to_ids(list(names))
        self.frame = [begin, tile, *[self.patch] * TOKENS_A_FRAME, end]
        self.start = start

    def question(self, lesson: Lesson) -> list[int]:
        """The tokens of what is asked."""
        text = load_prompt(f"short_{lesson.kind}").about(count=8, instruction=lesson.text)
        ids: list[int] = self.words(text).input_ids
        return ids

    def __call__(self, clips: Sequence[Shown], asked: Sequence[Sequence[Lesson]]) -> Packed:
        rows = []
        for clip, wanted in zip(clips, asked, strict=True):
            frames = [self.start, *self.frame * len(clip.frames)]
            parts = [
                (self.question(one), [*self.words(one.reply).input_ids, self.words.eos_token_id]) for one in wanted
            ]
            rows.append((frames, parts))
        longest = max(len(frames) + sum(len(q) + len(a) for q, a in parts) for frames, parts in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        positions, targets = torch.zeros_like(ids), torch.full_like(ids, -100)
        group = torch.full_like(ids, -1)
        for row, (frames, parts) in enumerate(rows):
            at = len(frames)
            ids[row, :at], positions[row, :at], group[row, :at] = torch.tensor(frames), torch.arange(at), 0
            for number, (question, reply) in enumerate(parts, 1):
                end = at + len(question) + len(reply)
                ids[row, at:end] = torch.tensor([*question, *reply])
                positions[row, at:end] = torch.arange(len(frames), len(frames) + end - at)
                group[row, at:end] = number
                # a token is predicted by the one before it
                targets[row, at + len(question) - 1 : end - 1] = torch.tensor(reply)
                at = end
        sees = (group[:, None, :] == 0) | (group[:, None, :] == group[:, :, None])
        mask = sees & torch.ones(longest, longest, dtype=torch.bool).tril() | torch.eye(longest, dtype=torch.bool)
        return Packed(ids=ids, positions=positions, targets=targets, mask=mask[:, None])


def logits_of(
    model: AyaVisionForConditionalGeneration, states: torch.Tensor, packed: Packed, patch: int
) -> torch.Tensor:
    """(B, L, words) from hidden states of frames and packed questions."""
    return answers(model, model.model.multi_modal_projector(states), packed, patch)


def answers(model: AyaVisionForConditionalGeneration, seen: torch.Tensor, packed: Packed, patch: int) -> torch.Tensor:
    """(B, L, words) from the tokens of frames, as the projector gives them, and packed questions."""
    embeds = model.get_input_embeddings()(packed.ids)
    flat = seen.reshape(-1, embeds.shape[-1])
    embeds = embeds.masked_scatter((packed.ids == patch)[..., None].expand_as(embeds), flat)
    hidden = model.model.language_model(
        inputs_embeds=embeds, attention_mask=packed.mask, position_ids=packed.positions, use_cache=False
    ).last_hidden_state
    logits: torch.Tensor = model.lm_head(hidden)
    return logits


def fit(
    drawn: Sequence[Drawn],
    model: AyaVisionForConditionalGeneration,
    output: Path,
    *,
    steps: int,
    minutes: float,
    batch_size: int = 16,
    whole: bool = False,
) -> None:
    """Fit projector and language model for `minutes` of wall time or `steps` steps, and save. `whole` fits the vision
    tower too, at a third of the rate of the first fit, with more clips whose pictures are not whole."""
    eyes, packer, rng = Eyes(model, learn=whole), Packer(), np.random.default_rng(int(whole))
    kinds, most = (WHOLE_KINDS, 5e-4) if whole else (KINDS, 1.5e-3)
    model.model.vision_tower.requires_grad_(whole)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    began_s = time.monotonic()
    for step in range(steps):
        share = max(step / steps, (time.monotonic() - began_s) / (60 * minutes) if minutes else 0.0)
        if share >= 1:
            break
        set_rate(optimiser, most, step=step, share=share)
        clips = batch_of(drawn, batch_size, rng, kinds)
        packed = packer(clips, [asked(clip, rng, whole=whole) for clip in clips])
        logits = logits_of(model, eyes(clips), packed, packer.patch)
        loss = functional.cross_entropy(logits.flatten(0, 1), packed.targets.flatten(), ignore_index=-100)
        update(optimiser, learned, loss)
        if step % 20 == 0:
            log.info(
                "step %d loss %.4f, %.0f s, %.0f s CPU",
                step,
                loss.item(),
                time.monotonic() - began_s,
                time.process_time(),
            )
        if step % 200 == 199:
            save(model, output)
    save(model, output)


def asked(clip: Shown, rng: np.random.Generator, *, whole: bool) -> list[Lesson]:
    """What is asked about a clip; in the fit of the whole model what is learned last is asked twice more."""
    wanted = list(lessons(clip, rng))
    late = [lesson for lesson in wanted if lesson.kind == "physics" or (lesson.kind == "caption" and clip.done)]
    return [*wanted, *late, *late] if whole else wanted


def batch_of(drawn: Sequence[Drawn], size: int, rng: np.random.Generator, kinds: Sequence[str] = KINDS) -> list[Shown]:
    """Clips of random episodes that show random things."""
    batch: list[Shown] = []
    while len(batch) < size:
        clip = show(drawn[int(rng.integers(len(drawn)))], str(rng.choice(kinds)), rng)
        if clip is not None:
            batch.append(clip)
    return batch


def save(model: AyaVisionForConditionalGeneration, output: Path) -> None:
    """Write weights and processor, ready for `from_pretrained` and for a server."""
    model.save_pretrained(output)
    processor().save_pretrained(output)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("clips", "detector", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--every", type=int, default=1, help="take every so many of the episodes")
    parser.add_argument("--start-from", type=Path, help="a judge, to be fitted on as a whole")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    drawn = load(sorted(given.clips.glob(f"*-{TRAINING_SEED}-*.npy")))[:: given.every]
    whole = given.start_from is not None
    model = AyaVisionForConditionalGeneration.from_pretrained(given.start_from) if whole else make(given.detector)
    fit(drawn, model, given.output, steps=given.steps, minutes=given.minutes, batch_size=given.batch_size, whole=whole)


if __name__ == "__main__":
    main()
