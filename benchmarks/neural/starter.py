"""The command that makes the shipped image-to-video model: renders clips, fits a video autoencoder, then a transformer.

    python -m benchmarks.neural.starter --output generators/neural/starter

Wan's own classes, small: `AutoencoderKLWan`, `WanTransformer3DModel` with a clean first latent frame (as Wan 2.2 TI2V),
`UMT5EncoderModel` and a tokenizer of ours over the words of the prompts. Stopped, it goes on from `--work`.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import cache_folder
from benchmarks.neural.clips import CAMERA, SHAPE, TRAINING_SEED, background_of, every_frame
from benchmarks.neural.vae import Z, as_video, fit_vae, sharpen_decoder, small_vae
from generators.neural.clip_shape import cut_clip
from generators.neural.models.interface import Sampling
from generators.neural.testing import tiny_tokenizer
from groot.checkpoint import code_commit, load_tensors, put_tensors, save_tensors
from groot.fit import Batch, FitConfig, Position, fit
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.ids import file_hash

log = logging.getLogger(__name__)
TASKS: Mapping[str, tuple[str, int]] = {
    "lift-D0": ("D0", 300),
    "lift-D1": ("D1", 150),
    "stack-D0": ("D0", 300),
    "stack_green_on_red-D0": ("D0", 160),
}
"""Data set -> placement and episodes."""
MORE_TASKS: Mapping[int, Mapping[str, tuple[str, int]]] = {
    14: {"stack_green_on_red-D0": ("D0", 300), "stack-D0": ("D0", 300), "lift-D0": ("D0", 200)},
    16: {
        "stack_green_on_red-D0": ("D0", 800),
        "stack-D0": ("D0", 400),
        "lift-D0": ("D0", 200),
        "lift-D1": ("D1", 300),
    },
}
"""What the later rounds of training see too, by seed."""
TEXT_TOKENS, TEXT_WIDTH = 16, 64
SAMPLING = Sampling(steps=5, guidance=1.0)
"""On 48 scenes that neither training nor a benchmark sees, 5 steps end nearer to the truth than 16, and labels of them
succeed as often."""
SHIFT, CAPTION_DROPOUT = 3.0, 0.1
SHARPENING_STEPS = (800, 2000)
"""Rounds in which the decoder is trained on alone, each with a schedule of its own."""
LONGER = ((9000, 1e-3, (14,)), (4000, 6e-4, (14,)), (8000, 8e-4, (14, 16)))
"""Steps, learning rate and seeds of `MORE_TASKS` of the later rounds, each with a schedule of its own."""
PHRASINGS: Mapping[str, Sequence[str]] = {
    "lift the red cube": ("lift the red cube", "pick up the red cube", "raise the red cube"),
    "stack the red cube on the green cube": (
        "stack the red cube on the green cube",
        "put the red cube on the green cube",
        "place the red cube on top of the green cube",
    ),
    "stack the green cube on the red cube": (
        "stack the green cube on the red cube",
        "put the green cube on the red cube",
        "place the green cube on top of the red cube",
    ),
}
MORE_WORDS = (
    "open close the drawer and put cup mug carton tray pot its two both arms hands handles with without spilling block"
    " into from to left right of bowl plate it clean tidy away take push grasp keep level using robots together"
)
"""The vocabulary is closed: tasks that a LoRA adds speak in these words too."""


def tokenizer_of(sentences: Sequence[str]) -> Any:
    """Whole words of the sentences, lower case, padded to `TEXT_TOKENS`; a sentence ends in </s>."""
    return tiny_tokenizer(" ".join(sentences), most_tokens=TEXT_TOKENS)


def small_text_encoder(tokens: int) -> Any:
    """A UMT5 encoder of two layers; it is trained together with the transformer, for it must tell word orders apart."""
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=tokens,
            d_model=TEXT_WIDTH,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=32,
            relative_attention_max_distance=32,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def small_transformer() -> Any:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=6,
        attention_head_dim=32,
        in_channels=Z,
        out_channels=Z,
        text_dim=TEXT_WIDTH,
        freq_dim=128,
        ffn_dim=768,
        num_layers=5,
        cross_attn_norm=True,
        rope_max_seq_len=64,
    )


class Starter(nn.Module):
    """Transformer and text encoder, trained together. `ids` (P, L) are the tokens of every prompt, the empty one first;
    `weight` (T', h, w) says how much each place of a clip's latents counts."""

    ids: Tensor
    weight: Tensor

    def __init__(self, tokenizer: Any, prompts: Sequence[str], weight: Tensor) -> None:
        super().__init__()
        self.transformer = small_transformer()
        self.text_encoder = small_text_encoder(len(tokenizer))
        tokens = tokenizer(list(prompts), padding="max_length", max_length=TEXT_TOKENS, return_tensors="pt")
        self.register_buffer("ids", tokens.input_ids, persistent=False)
        self.register_buffer("weight", weight, persistent=False)

    def texts(self, prompts: Tensor) -> Tensor:
        """Embeddings (B, L, C) of prompts by number, padding zeroed as the pipeline does it."""
        mask = self.ids != 0
        hidden = self.text_encoder(self.ids, mask.long()).last_hidden_state * mask[..., None]
        chosen: Tensor = hidden[prompts]
        return chosen


def starter_loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Flow matching on latents whose first frame stays clean: x_t = (1 - s) x0 + s noise, target noise - x0."""
    assert isinstance(model, Starter)
    clean = batch["latents"]
    share = torch.rand(len(clean))
    sigma = (SHIFT * share / (1 + (SHIFT - 1) * share)).view(-1, 1, 1, 1, 1)
    noise = torch.randn_like(clean)
    noisy = (1 - sigma) * clean + sigma * noise
    noisy[:, :, :1] = clean[:, :, :1]
    tokens = model.weight[:, ::2, ::2].flatten().shape[0] // len(model.weight)
    time = (1000 * sigma.view(-1, 1)).expand(-1, tokens * len(model.weight)).clone()
    time[:, :tokens] = 0
    prompts = torch.where(torch.rand(len(clean)) < CAPTION_DROPOUT, 0, batch["prompt"])
    predicted = model.transformer(
        hidden_states=noisy, timestep=time, encoder_hidden_states=model.texts(prompts), return_dict=False
    )[0]
    error = (predicted.float() - (noise - clean))[:, :, 1:] ** 2
    return {"loss": (error * model.weight[1:]).mean(), "plain": error.mean()}


@dataclass(frozen=True, kw_only=True)
class Latents:
    """Batches of cached clips: `latents` (N, C, T', h, w) float16, `prompts` the phrasings (numbers) of each; those
    that have a prompt of `twice` come twice as often."""

    latents: Tensor
    prompts: Sequence[Sequence[int]]
    batch_size: int
    seed: int = 0
    twice: frozenset[int] = frozenset()

    def __call__(self, position: Position) -> Iterator[Batch]:
        step = position.step
        share = np.array([2.0 if self.twice & set(prompts) else 1.0 for prompts in self.prompts])
        share /= share.sum()
        while True:
            random = np.random.default_rng([self.seed, step, position.process])
            if self.twice:
                rows = random.choice(len(self.latents), self.batch_size, p=share)
            else:
                rows = random.integers(0, len(self.latents), self.batch_size)
            prompts = [int(random.choice(self.prompts[row])) for row in rows]
            yield {"latents": self.latents[rows].float(), "prompt": torch.tensor(prompts)}
            step += 1


def all_prompts() -> list[str]:
    return ["", *(sentence for phrasings in PHRASINGS.values() for sentence in phrasings)]


@torch.no_grad()
def cached_latents(vae: Any, datasets: Sequence[Dataset], folder: Path) -> tuple[Tensor, list[list[int]]]:
    """Clips of every episode as normalised latents: two that begin in its first 0.2 s, and of episodes that are longer
    than a clip one more that begins anywhere. Kept in `folder`."""
    prompts, texts = all_prompts(), []
    mean, std = (torch.tensor(vae.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    for dataset in datasets:
        path = folder / f"{dataset.name}-{len(dataset)}-{'-'.join(dataset.units())}.safetensors"
        kinds: list[str] = []
        latents_so_far: list[Tensor] = []
        for number, episode in enumerate(dataset.episodes()):
            random = np.random.default_rng([5, number])
            starts = [0.0, float(random.integers(1, 4)) / episode.rate_hz]
            if episode.duration_s > SHAPE.duration_s + 0.5:
                starts.append(float(random.uniform(0.3, episode.duration_s - SHAPE.duration_s)))
            kinds += [episode.instruction] * len(starts)
            if not path.exists():
                clips = np.stack([cut_clip(episode, CAMERA, SHAPE, start_s=start) for start in starts])
                latents = vae._encode(as_video(torch.from_numpy(clips)))[:, :Z]
                latents_so_far.append(((latents - mean) / std).half())
        if latents_so_far:
            folder.mkdir(parents=True, exist_ok=True)
            save_tensors(path, {"latents": torch.cat(latents_so_far)})
            log.info("%s: %d clips", path.name, len(kinds))
        texts.append((load_tensors(path)["latents"], kinds))
    numbers = [[prompts.index(one) for one in PHRASINGS[kind]] for _, kinds in texts for kind in kinds]
    return torch.cat([latents for latents, _ in texts]), numbers


def spread_of(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel over all clips."""
    each = latents.float()
    return each.mean((0, 2, 3, 4)), each.std((0, 2, 3, 4)).clamp(min=1e-3)


def evened(latents: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Latents whose channels are moved by `mean` and divided by `std`."""
    shape = (1, -1, 1, 1, 1)
    return ((latents.float() - mean.view(shape)) / std.view(shape)).half()


def say_spread(vae: Any, mean: Tensor, std: Tensor) -> dict[str, list[float]]:
    """Statistics of an autoencoder whose latents are evened; its own follow from few and quiet clips."""
    old_mean, old_std = (torch.tensor(vae.config[name]) for name in ("latents_mean", "latents_std"))
    return {"latents_mean": (old_mean + old_std * mean).tolist(), "latents_std": (old_std * std).tolist()}


def change_weight(latents: Tensor) -> Tensor:
    """How much clips differ from one another at each place, (T', h, w) with mean 1, between 0.3 and 4 before that:
    where nothing ever moves there is little to learn."""
    spread = latents.float().var(0).mean(0)
    weight = (spread / spread[1:].mean()).clamp(0.3, 4.0)
    return weight / weight[1:].mean()


def fit_config(*, steps: int, learning_rate: float, average_decay: float) -> FitConfig:
    """What both fits of the transformer share."""
    return FitConfig(
        steps=steps,
        learning_rate=learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        precision="bf16",
        average_decay=average_decay,
        log_every=25,
        save_every=100,
    )


def fit_starter(latents: Tensor, prompts: Sequence[Sequence[int]], work: Path, *, steps: int) -> tuple[Starter, Any]:
    torch.manual_seed(1)
    tokenizer = tokenizer_of([*all_prompts(), MORE_WORDS])
    model = Starter(tokenizer, all_prompts(), change_weight(latents))
    log.info("%d clips, %.2f M parameters", len(latents), sum(p.numel() for p in model.parameters()) / 1e6)
    config = fit_config(steps=steps, learning_rate=1.5e-3, average_decay=0.997)
    batches = Latents(latents=latents, prompts=prompts, batch_size=16)
    fit(model, config, loss=starter_loss, batches=batches, folder=work / "transformer", identity=len(latents))
    return model, tokenizer


def fit_instructions(
    model: Starter, tokenizer: Any, latents: Tensor, prompts: Sequence[Sequence[int]], work: Path, *, steps: int
) -> None:
    """Go on with a text encoder that tells word orders apart, and the tasks that only the instruction tells twice as
    often. As it is made by default its relative positions hardly weigh, and "red on green" is "green on red" to it."""
    torch.manual_seed(2)
    model.text_encoder = small_text_encoder(len(tokenizer))
    for name, value in model.text_encoder.named_parameters():
        if "relative_attention_bias" in name:
            nn.init.normal_(value, std=3.0)
    config = fit_config(steps=steps, learning_rate=1e-3, average_decay=0.995)
    asked = {all_prompts().index(one) for kind, said in PHRASINGS.items() if kind.startswith("stack") for one in said}
    batches = Latents(latents=latents, prompts=prompts, batch_size=16, seed=1, twice=frozenset(asked))
    fit(model, config, loss=starter_loss, batches=batches, folder=work / "instructions", identity=len(latents))


Clips = tuple[Tensor, list[list[int]]]
"""Latents of clips, and the numbers of each one's phrasings."""


def fit_longer(model: Starter, clips: Mapping[tuple[int, ...], Clips], work: Path) -> None:
    """Go on with more clips, in rounds: after the first two stretches the loss still falls."""
    for number, (steps, learning_rate, seeds) in enumerate(LONGER):
        torch.manual_seed(3 + number)
        latents, prompts = clips[seeds]
        config = fit_config(steps=steps, learning_rate=learning_rate, average_decay=0.998)
        batches = Latents(latents=latents, prompts=prompts, batch_size=16, seed=2 + number)
        folder = work / ("longer" if not number else f"longer-{number}")
        fit(model, config, loss=starter_loss, batches=batches, folder=folder, identity=len(latents))


def pipeline_of(model: Starter, tokenizer: Any, vae: Any) -> Any:
    """The whole as a diffusers pipeline."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=model.text_encoder.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        transformer=model.transformer.eval(),
        expand_timesteps=True,
    )


def starter_vae(work: Path, datasets: Sequence[Dataset], *, steps: int) -> Any:
    """The fitted autoencoder, from `work` where it is there."""
    path = work / "vae.safetensors"
    if not path.exists():
        clips = frames_of(datasets)
        _put_vae(fit_vae(clips, background_of(clips), work / "vae", steps=steps), path)
    return _read_vae(path)


def sharpened_vae(work: Path, datasets: Sequence[Dataset]) -> Any:
    """The autoencoder with its decoder trained on, from `work` where it is there. May run beside `fit_starter`."""
    before = work / "vae.safetensors"
    for number, steps in enumerate(SHARPENING_STEPS):
        path = work / f"vae-sharp-{number}.safetensors"
        if not path.exists():
            clips = frames_of(datasets)
            folder = work / "vae" / f"decoder-{number}"
            _put_vae(sharpen_decoder(_read_vae(before), clips, background_of(clips), folder, steps=steps), path)
        before = path
    return _read_vae(before)


def frames_of(datasets: Sequence[Dataset]) -> list[Any]:
    clips = [clip for dataset in datasets for clip in every_frame(dataset, stride=4)]
    log.info("autoencoder: %d episodes, %d frames", len(clips), sum(map(len, clips)))
    return clips


def _put_vae(vae: Any, path: Path) -> None:
    numbers = {"mean": torch.tensor(vae.config.latents_mean), "std": torch.tensor(vae.config.latents_std)}
    save_tensors(path, {**vae.state_dict(), **numbers})


def _read_vae(path: Path) -> Any:
    tensors = load_tensors(path)
    vae = small_vae()
    mean, std = (tensors.pop(name).tolist() for name in ("mean", "std"))
    put_tensors(vae, tensors, source=str(path))
    vae.register_to_config(latents_mean=mean, latents_std=std)
    return vae.eval()


def rendered(work: Path, tasks: Mapping[str, tuple[str, int]] = TASKS, *, seed: int = TRAINING_SEED) -> list[Dataset]:
    """The training data, rendered in processes of their own (MuJoCo and torch stay apart) unless it is in `work`."""
    for task, (placement, episodes) in tasks.items():
        name, place = task.removesuffix(f"-{placement}"), work / f"{task}-{seed}"
        if not (place / "index").exists():
            words = (str(work), name, placement, str(episodes), str(seed))
            subprocess.run([sys.executable, "-m", "benchmarks.neural.clips", *words], check=True)
    return [Dataset.open(work / f"{task}-{seed}") for task in tasks]


def save_starter(pipe: Any, output: Path, *, clips: int, options: argparse.Namespace) -> None:
    """The pipeline in half precision, and its card."""
    pipe.to(torch.float16)
    pipe.save_pretrained(output, safe_serialization=True)
    card = {
        "kind": "image-to-video",
        "preset": "starter",
        "shape": asdict(SHAPE),
        "sampling": asdict(SAMPLING),
        "prompts": all_prompts()[1:],
        "camera": CAMERA,
        "data": {"tasks": {TRAINING_SEED: dict(TASKS), **MORE_TASKS}, "clips": clips},
        "training": {
            "vae_steps": options.vae_steps,
            "decoder_steps": SHARPENING_STEPS,
            "steps": options.steps,
            "instruction_steps": options.instruction_steps,
            "longer": [list(each) for each in LONGER],
        },
        "command": "python -m benchmarks.neural.starter --output generators/neural/starter",
        "commit": code_commit(),
        "weights": {path.parent.name: file_hash(path) for path in sorted(output.rglob("*.safetensors"))},
    }
    write_whole(output / "card.json", json_bytes(card))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neural.starter", description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--work", type=Path, default=cache_folder() / "neural-starter")
    parser.add_argument("--vae-steps", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--instruction-steps", type=int, default=1200)
    parser.add_argument("--decoder-only", action="store_true", help="beside another that fits the transformer")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    data = options.work / "data"
    vae = starter_vae(options.work, rendered(data), steps=options.vae_steps)
    if options.decoder_only:
        sharpened_vae(options.work, rendered(data))
        return
    latents, prompts = cached_latents(vae, rendered(data), options.work / "latents")
    mean, std = spread_of(latents)
    latents = evened(latents, mean, std)
    model, tokenizer = fit_starter(latents, prompts, options.work, steps=options.steps)
    fit_instructions(model, tokenizer, latents, prompts, options.work, steps=options.instruction_steps)
    clips: dict[tuple[int, ...], Clips] = {}
    seen: tuple[int, ...] = ()
    for seed, tasks in MORE_TASKS.items():
        more, more_prompts = cached_latents(vae, rendered(data, tasks, seed=seed), options.work / "latents")
        latents, prompts = torch.cat([latents, evened(more, mean, std)]), [*prompts, *more_prompts]
        seen = (*seen, seed)
        clips[seen] = (latents, prompts)
    fit_longer(model, clips, options.work)
    statistics = say_spread(vae, mean, std)
    vae = sharpened_vae(options.work, rendered(data))
    vae.register_to_config(**statistics)
    if options.output:
        save_starter(pipeline_of(model, tokenizer, vae), options.output, clips=len(latents), options=options)


if __name__ == "__main__":
    main()
