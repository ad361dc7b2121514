from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from generators.neural.clip_shape import ClipShape
from generators.neural.models.interface import Request, Sampling
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from generators.neural.testing import TINY
from storage.errors import ConfigError, InputError

Pipelines = Callable[[str], Path]
SHAPE = ClipShape(frames=9, height_px=32, width_px=32, rate_hz=8.0)
SAMPLING = Sampling(steps=2, guidance=2.0)
PLAIN = ModelOptions(dtype="float32", device="cpu", cosmos_guardrail=False)
WAN = [name for name in TINY if name.startswith("wan")]


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)


def requests() -> list[Request]:
    prompts = ("lift the red cube", "stack the red cube on the green cube")
    return [Request(image=picture(number), prompt=prompt, seed=number) for number, prompt in enumerate(prompts)]


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_saved_pipeline_loads_and_its_clips_follow_from_their_seeds(tiny_pipeline: Pipelines, name: str) -> None:
    model = load_model(str(tiny_pipeline(name)), PLAIN)
    model.check_shape(SHAPE)
    (first, other), (again, _) = (model.generate(requests(), SHAPE, SAMPLING) for _ in range(2))
    assert first.shape == other.shape == (9, 32, 32, 3)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("name", WAN)
def test_clips_drawn_together_are_those_of_diffusers_drawn_alone(tiny_pipeline: Pipelines, name: str) -> None:
    model: Any = load_model(str(tiny_pipeline(name)), PLAIN)
    for request, clip in zip(requests(), model.generate(requests(), SHAPE, SAMPLING), strict=True):
        alone = model.pipe(
            image=Pillow.fromarray(request.image),
            prompt=request.prompt,
            negative_prompt="",
            height=32,
            width=32,
            num_frames=9,
            num_inference_steps=2,
            guidance_scale=2.0,
            max_sequence_length=model.text_tokens,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
        ).frames[0]
        np.testing.assert_allclose(clip, alone, atol=1e-5)


def test_text_of_a_model_with_clip_tokens_is_512_long_whatever_its_tokenizer_says(tiny_pipeline: Pipelines) -> None:
    model: Any = load_model(str(tiny_pipeline("wan 2.1")), PLAIN)
    model.pipe.tokenizer.model_max_length = 64
    assert type(model)(model.pipe, SHAPE, SAMPLING).text_latents("lift the cube").shape[0] == 512


def test_the_picture_reaches_a_model_through_its_clip_tokens(tiny_pipeline: Pipelines) -> None:
    model: Any = load_model(str(tiny_pipeline("wan 2.1")), PLAIN)
    conditions = [model.condition(picture(seed), SHAPE) for seed in (0, 1)]
    swapped = {**conditions[0], "clip": conditions[1]["clip"]}
    text, noise = model.text_latents("lift the cube")[None], torch.zeros(1, 4, 3, 4, 4)
    with torch.inference_mode():
        flows = [
            model._velocity(
                model.pipe.transformer, noise, torch.ones(1) * 500, {k: v[None] for k, v in one.items()}, text
            )
            for one in (conditions[0], swapped)
        ]
    assert float((flows[0] - flows[1]).abs().max()) > 1e-4


def test_a_clean_first_frame_comes_back_as_the_autoencoder_has_it(tiny_pipeline: Pipelines) -> None:
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    (clip,) = model.generate(requests()[:1], SHAPE, SAMPLING)
    latents = model.condition(picture(0), SHAPE)["condition"][None]
    np.testing.assert_allclose(clip[0], model.decode(latents)[0][0], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "frames", "side", "nearest"),
    [("wan 2.2 ti2v", 10, 32, "frames 9"), ("wan 2.1", 9, 40, "size_px [32, 32]"), ("ltx", 9, 48, "size_px [64, 64]")],
)
def test_shapes_that_diffusers_would_round_are_refused(
    tiny_pipeline: Pipelines, name: str, frames: int, side: int, nearest: str
) -> None:
    model = load_model(str(tiny_pipeline(name)), PLAIN)
    with pytest.raises(ConfigError) as caught:
        model.check_shape(ClipShape(frames=frames, height_px=side, width_px=side, rate_hz=8.0))
    assert nearest in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("  ", "an empty one"), ("lift the cube " * 9, "tokens, the model reads 16"), ("lift the zebra", "'zebra'")],
)
def test_prompts_that_a_tokenizer_would_cut_or_blank_out_are_refused(
    tiny_pipeline: Pipelines, prompt: str, text: str
) -> None:
    model = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    with pytest.raises(InputError, match=text):
        model.check_prompt(prompt)


@pytest.mark.parametrize("cache", ["first_block", "taylorseer"])
def test_step_caches_that_are_offered_do_something(tiny_pipeline: Pipelines, cache: str) -> None:
    folder, sampling = str(tiny_pipeline("wan 2.2 ti2v")), Sampling(steps=8, guidance=1.0)
    plain = load_model(folder, PLAIN).generate(requests()[:1], SHAPE, sampling)[0]
    options = ModelOptions(dtype="float32", device="cpu", step_cache=cache, cache_threshold=0.5)
    cached = load_model(folder, options).generate(requests()[:1], SHAPE, sampling)[0]
    assert not np.array_equal(plain, cached)


@pytest.mark.parametrize("cache", ["fastercache", "seacache", "sorcery"])
def test_step_caches_that_fail_or_do_nothing_are_refused_with_the_reason(cache: str) -> None:
    with pytest.raises(ConfigError, match="step_cache is one of"):
        ModelOptions(step_cache=cache)
