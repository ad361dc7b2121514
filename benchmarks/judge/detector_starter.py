"""How the starter detector was fitted: a small Owlv2ForObjectDetection on boxes of segmentation renders.

    python -m benchmarks.judge.detector_starter CLIPS OUTPUT --steps 900    # CLIPS: what benchmarks.judge.clips wrote

Every patch on a thing is asked for its name (sigmoid focal loss against all names) and for the thing's box (L1 and
generalised IoU), as in OWL-ViT (arXiv 2205.06230) but with patches assigned by the mask of the box in place of a
bipartite matching: with small scenes and known boxes that converges in minutes.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional
from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor, PreTrainedTokenizerFast
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

from benchmarks.judge.clips import HELD_OUT_SEED, MOMENTS, SIZE_PX, TRAINING_SEED, Drawn, load
from benchmarks.judge.optimise import set_rate, update

log = logging.getLogger(__name__)
Array = NDArray[Any]
PATCH_PX, GRID = 8, SIZE_PX // 8
LEAST_VISIBLE_PX = 25
EVERY_NAME = (
    "red cube", "green cube", "apple", "orange", "lemon", "pear", "sweet potato", "wooden cube", "can", "bottle",
    "milk carton", "cup", "plate", "bowl", "basket", "tray", "cutting board", "placemat", "pan", "cardboard box",
    "shelf", "robot arm",
)  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """Words of the names; the end token has the highest id, which is where OWL-v2 reads the text from."""
    words = sorted({word for name in EVERY_NAME for word in name.split()} | {"the", "a", "photo", "of", "an"})
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<start>", "<unk>", *words, "<end>"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("<start>", "<end>")]
    inner.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=ends)
    names = {"pad_token": "<pad>", "bos_token": "<start>", "eos_token": "<end>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=8, **names)


def make(vocabulary: int) -> Owlv2ForObjectDetection:
    """The untrained detector: 0.9 million parameters."""
    layers = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision = {**layers, "image_size": SIZE_PX, "patch_size": PATCH_PX}
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"vocab_size": vocabulary, "max_position_embeddings": 8, "pad_token_id": 0, "bos_token_id": 1}
    config = Owlv2Config(vision_config=vision, text_config={**text, "eos_token_id": vocabulary - 1}, projection_dim=64)
    torch.manual_seed(0)
    model = Owlv2ForObjectDetection(config)
    for part in model.modules():  # the library's own start is for wide models; these are narrow
        if isinstance(part, torch.nn.Linear):
            torch.nn.init.trunc_normal_(part.weight, std=0.05)
    torch.nn.init.constant_(model.class_head.logit_shift.bias, -0.2)
    return model


def pixels_of(frames: Array) -> torch.Tensor:
    """(N, 3, H, W) as OWL-v2's own processor gives them for pictures of this size."""
    mean, std = torch.tensor(Owlv2ImageProcessorPil.image_mean), torch.tensor(Owlv2ImageProcessorPil.image_std)
    images = torch.from_numpy(np.ascontiguousarray(frames)).float() / 255
    return ((images - mean) / std).permute(0, 3, 1, 2).contiguous()


class Samples:
    """Frames with the boxes of what is visible in them, drawn at random."""

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        self.drawn = drawn

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Array, list[list[tuple[int, Array]]]]:
        frames, things = [], []
        for _ in range(size):
            one = self.drawn[int(rng.integers(len(self.drawn)))]
            moment = int(rng.integers(MOMENTS))
            frame, boxes = one.frames[moment], visible(one, moment)
            if rng.random() < 0.5:
                frame, boxes = (
                    frame[:, ::-1],
                    [(name, box[[2, 1, 0, 3]] * (-1, 1, -1, 1) + (1, 0, 1, 0)) for name, box in boxes],
                )
            shift = rng.normal(0, 12, 3) + rng.normal(0, 8)
            frames.append(np.clip(frame * rng.uniform(0.8, 1.2) + shift, 0, 255).astype(np.uint8))
            things.append(boxes)
        return np.stack(frames), things


def visible(one: Drawn, moment: int) -> list[tuple[int, Array]]:
    """(number of the name, box x0, y0, x1, y1 in 0..1) of everything that is visible at a moment."""
    return [
        (EVERY_NAME.index(name), box[:4] / SIZE_PX)
        for name, box in zip(one.names, one.boxes[moment], strict=True)
        if box[4] >= LEAST_VISIBLE_PX
    ]


def targets(things: Sequence[Sequence[tuple[int, Array]]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each patch: names (B, P, Q), the box of the smallest thing on it (B, P, 4), and whether there is one."""
    centres = (np.arange(GRID) + 0.5) / GRID
    names = np.zeros((len(things), GRID * GRID, len(EVERY_NAME)), np.float32)
    boxes = np.zeros((len(things), GRID * GRID, 4), np.float32)
    there = np.zeros((len(things), GRID * GRID), bool)
    for number, seen in enumerate(things):
        for name, box in sorted(seen, key=lambda each: -float((each[1][2:] - each[1][:2]).prod())):
            middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2 * 0.7, 0.51 / GRID)
            on_x, on_y = (np.abs(centres - middle[axis]) <= half[axis] for axis in (0, 1))
            on = (on_y[:, None] & on_x[None]).ravel()
            names[number, on, name] = 1.0
            boxes[number, on], there[number, on] = box, True
    return torch.from_numpy(names), torch.from_numpy(boxes), torch.from_numpy(there)


def loss_of(
    model: Owlv2ForObjectDetection, frames: Array, things: Any, ids: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Names, boxes and objectness of a batch."""
    wanted, boxes, there = targets(things)
    features, _ = model.image_embedder(pixel_values=pixels_of(frames))
    flat = features.reshape(len(frames), GRID * GRID, -1)
    queries = functional.normalize(
        model.owlv2.get_text_features(input_ids=ids, attention_mask=mask).pooler_output, dim=-1
    )
    logits, _ = model.class_predictor(flat, queries[None].expand(len(frames), -1, -1), None)
    chance = torch.sigmoid(logits)
    right = torch.where(wanted > 0, chance, 1 - chance)
    weight = torch.where(wanted > 0, 0.75, 0.25) * (1 - right) ** 2
    named = (weight * functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum() / there.sum()
    said = corners(model.box_predictor(flat, features))[there]
    area = 1 - generalised_iou(said, boxes[there])
    boxed = (5 * (said - boxes[there]).abs().sum(-1) + 2 * area).mean()
    object_like = functional.binary_cross_entropy_with_logits(model.objectness_predictor(flat), there.float())
    return named + boxed + 0.2 * object_like


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Centre and size -> corners."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)


def generalised_iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of pairs of boxes (N, 4), in -1..1 (arXiv 1902.09630)."""
    inner = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(-1)
    union = (one[:, 2:] - one[:, :2]).prod(-1) + (other[:, 2:] - other[:, :2]).prod(-1) - inner
    hull = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(-1)
    return inner / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def fit(
    drawn: Sequence[Drawn],
    output: Path,
    *,
    steps: int,
    batch_size: int = 12,
    minutes: float = 0.0,
    start_from: Path | None = None,
) -> Owlv2ForObjectDetection:
    """Fit for `steps` steps (or `minutes` of wall time, whichever ends first) and save model and processor. A fit that
    goes on from the weights in `start_from` takes half the learning rate, and draws its pictures anew."""
    words = tokenizer()
    model = Owlv2ForObjectDetection.from_pretrained(start_from).train() if start_from else make(len(words))
    rate, seed = (5e-4, 1) if start_from else (1e-3, 0)
    query = words(list(EVERY_NAME), padding=True, return_tensors="pt")
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    samples, rng, began_s = Samples(drawn), np.random.default_rng(seed), time.monotonic()
    for step in range(steps):
        share = max(step / steps, (time.monotonic() - began_s) / (60 * minutes) if minutes else 0.0)
        if share >= 1:
            break
        set_rate(optimiser, rate, step=step, share=share, warm=50)
        frames, things = samples.batch(batch_size, rng)
        loss = loss_of(model, frames, things, query.input_ids, query.attention_mask)
        update(optimiser, list(model.parameters()), loss)
        if step % 25 == 0:
            log.info("step %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - began_s)
        if step % 200 == 199:
            save(model, output)
    save(model, output)
    return model


def save(model: Owlv2ForObjectDetection, output: Path) -> None:
    """Write weights and processor, ready for `from_pretrained`."""
    model.save_pretrained(output)
    images = Owlv2ImageProcessorPil(size={"height": SIZE_PX, "width": SIZE_PX})
    Owlv2Processor(image_processor=images, tokenizer=tokenizer()).save_pretrained(output)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--start-from", type=Path, help="folder of a fitted detector to go on from")
    parser.add_argument("--minutes", type=float, default=0.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    files = sorted(given.clips.glob(f"*-{TRAINING_SEED}-*.npy"))
    fit(load(files), given.output, steps=given.steps, minutes=given.minutes, start_from=given.start_from)
    log.info("held-out clips are those of seed %d", HELD_OUT_SEED)


if __name__ == "__main__":
    main()
