"""What a clip costs: the starter through our sampling loop, alone and in batches, against the bare diffusers pipeline;
and what step caches and fewer steps save and change.

    python -m benchmarks neural_speed [--quick]
"""

from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from benchmarks.measure import interleaved, print_table, result
from benchmarks.neural.clips import SHAPE
from generators.neural.fitting.cache import CachedClips
from generators.neural.fitting.config import VideoFitConfig
from generators.neural.fitting.fit import Batches, Loss, add_adapter, loop_config
from generators.neural.models.interface import Request, Sampling
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from groot.fit import Position, fit

PROMPT, TOGETHER = "lift the red cube", 8
BARS = {
    "ours, one clip a call, over diffusers": {"at_most": 1.05},
    "a step of a LoRA fit over a bare loop": {"at_most": 1.1},
}


def run(quick: bool) -> dict[str, Any]:
    torch.set_num_threads(1)
    rounds = 2 if quick else 5
    model: Any = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    cached: Any = load_model("starter", ModelOptions(dtype="float32", device="cpu", step_cache="first_block"))
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (SHAPE.height_px, SHAPE.width_px, 3), dtype=np.uint8)
    requests = [Request(image=image, prompt=PROMPT, seed=seed) for seed in range(TOGETHER)]
    whole = Sampling(steps=16, guidance=1.0)

    def diffusers() -> Any:
        return model.pipe(
            image=Pillow.fromarray(image),
            prompt=PROMPT,
            height=SHAPE.height_px,
            width=SHAPE.width_px,
            num_frames=SHAPE.frames,
            num_inference_steps=whole.steps,
            guidance_scale=whole.guidance,
            max_sequence_length=model.text_tokens,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).frames[0]

    few = Sampling(steps=4, guidance=1.0)
    seconds = interleaved(
        {
            "diffusers": diffusers,
            "ours": lambda: model.generate(requests[:1], SHAPE, whole),
            "batch": lambda: model.generate(requests, SHAPE, whole),
            "cached": lambda: cached.generate(requests[:1], SHAPE, whole),
            "few": lambda: model.generate(requests[:1], SHAPE, few),
        },
        rounds=rounds,
    )
    exact = model.generate(requests[:1], SHAPE, whole)[0]
    changed = {
        "first-block cache": cached.generate(requests[:1], SHAPE, whole)[0],
        "4 steps": model.generate(requests[:1], SHAPE, few)[0],
    }
    base = seconds["diffusers"].cpu_s
    figures = {
        "diffusers, one clip, CPU s": base,
        "ours, one clip a call, over diffusers": seconds["ours"].cpu_s / base,
        f"ours, {TOGETHER} together, a clip over diffusers": seconds["batch"].cpu_s / TOGETHER / base,
        "ours with the first-block cache, over diffusers": seconds["cached"].cpu_s / base,
        "ours with 4 steps in place of 16, over diffusers": seconds["few"].cpu_s / base,
        "difference from diffusers, of 1.0": float(np.abs(exact - diffusers()).max()),
    }
    figures["a step of a LoRA fit over a bare loop"] = fit_over_bare(rounds)
    for name, clip in changed.items():
        error = float(((clip.clip(0, 1) - exact.clip(0, 1)) ** 2).mean())
        figures[f"{name}: PSNR to 16 steps, dB"] = -10 * float(np.log10(max(error, 1e-10)))
    print_table(figures, BARS)
    return result(figures, BARS)


def fit_over_bare(rounds: int, *, steps: int = 15) -> float:
    """CPU seconds of a LoRA fit through `groot.fit` over those of a plain loop with the same loss and batches."""
    model: Any = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    config = VideoFitConfig(
        steps=steps, batch_size=8, precision="float32", validate_every=0, save_every=0, sample_clips=0
    )
    clip = np.random.default_rng(0).integers(0, 255, (SHAPE.frames, 64, 64, 3), dtype=np.uint8)
    cached = CachedClips(
        clips=[{name: value.clone() for name, value in model.clip_latents(clip).items()}],
        prompts=[PROMPT],
        texts={PROMPT: model.text_latents(PROMPT).clone()},
    )
    adapter, loss, batches = add_adapter(model, config), Loss(model, config.shift), Batches(cached, config)

    def ours() -> None:
        fit(adapter, loop_config(config), loss=loss, batches=batches)

    def bare() -> None:
        optimizer = torch.optim.AdamW(adapter.parameters(), lr=config.learning_rate)
        stream = batches(Position())
        for _ in range(steps):
            torch.autograd.backward(loss(adapter, next(stream))["loss"])
            torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    seconds = interleaved({"ours": ours, "bare": bare}, rounds=rounds)
    return seconds["ours"].cpu_s / seconds["bare"].cpu_s
