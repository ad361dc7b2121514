import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from generators.neural.clip_shape import ClipShape
from generators.neural.fitting.cache import cached_clips, start_times, weights_mark
from generators.neural.fitting.config import VideoFitConfig
from generators.neural.fitting.fit import fit_lora
from generators.neural.models.interface import Request, Sampling
from generators.neural.models.load import load_model
from generators.neural.models.lora import LORA_FILE, load_lora
from generators.neural.models.options import ModelOptions
from groot.checkpoint import load_tensors, save_tensors
from storage.episode import Episode
from storage.errors import ConfigError, MissingFileError
from storage.testing import tiny_episode

Pipelines = Callable[[str], Path]
PLAIN = ModelOptions(dtype="float32", device="cpu")
SHAPE = ClipShape(frames=9, height_px=32, width_px=32, rate_hz=10.0)
CONFIG = VideoFitConfig(
    steps=2,
    rank=2,
    alpha=4.0,
    learning_rate=0.05,
    precision="float32",
    frames=9,
    size_px=(32, 32),
    rate_hz=10.0,
    validate_every=0,
    save_every=1,
    sample_clips=0,
    held_out_share=0.3,
    noise_levels=(0.5,),
)


def episodes(count: int = 3) -> list[Episode]:
    return [tiny_episode(seed, length=20, size_px=(32, 32), instruction="lift the red cube") for seed in range(count)]


def clip_of(model: Any) -> Any:
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    request = Request(image=image, prompt="lift the red cube", seed=1)
    return model.generate([request], SHAPE, Sampling(steps=2, guidance=1.0))[0]


@pytest.mark.parametrize("name", ["wan 2.1", "wan 2.2 ti2v", "cogvideox"])
def test_a_fitted_lora_gives_plain_diffusers_the_same_clip(tiny_pipeline: Pipelines, tmp_path: Path, name: str) -> None:
    model: Any = load_model(str(tiny_pipeline(name)), PLAIN)
    before = clip_of(model)
    fit_lora(model, episodes(), "front", CONFIG, tmp_path / "lora")
    ours: Any = load_model(str(tiny_pipeline(name)), PLAIN)
    load_lora(ours.pipe, tmp_path / "lora")
    plain = getattr(diffusers, ours.name).from_pretrained(tiny_pipeline(name))
    plain.load_lora_weights(str(tmp_path / "lora"), weight_name=LORA_FILE)
    plain.set_progress_bar_config(disable=True)
    theirs = plain(
        image=Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)),
        prompt="lift the red cube",
        height=32,
        width=32,
        num_frames=9,
        num_inference_steps=2,
        guidance_scale=1.0,
        max_sequence_length=ours.text_tokens,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).frames[0]
    np.testing.assert_allclose(clip_of(ours), theirs, atol=1e-5)
    assert float(np.abs(theirs - before).max()) > 1e-4


def test_a_fit_that_was_stopped_ends_as_one_that_was_not(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    import groot.fit

    def fitted(folder: Path, *, stop_at: int = 0) -> None:
        model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
        if stop_at:
            with pytest.MonkeyPatch.context() as patch:
                whole = groot.fit.fit
                patch.setattr(
                    "generators.neural.fitting.fit.run_fit", lambda *a, **k: whole(*a, **{**k, "stop_at": stop_at})
                )
                fit_lora(model, episodes(), "front", CONFIG, folder)
        else:
            fit_lora(model, episodes(), "front", CONFIG, folder)

    fitted(tmp_path / "whole")
    fitted(tmp_path / "halves", stop_at=1)
    fitted(tmp_path / "halves")
    one, other = (load_tensors(tmp_path / name / LORA_FILE) for name in ("whole", "halves"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_saved_states_hold_the_adapter_and_not_the_base(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    fit_lora(model, episodes(), "front", CONFIG, tmp_path)
    (state,) = (tmp_path / "training").glob("state-*")
    saved = sum(value.numel() for value in load_tensors(state / "weights.safetensors").values())
    trained = sum(value.numel() for name, value in model.pipe.transformer.named_parameters() if "lora" in name)
    assert saved == trained


def test_latents_are_computed_once_and_anew_for_another_autoencoder(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)

    def files() -> int:
        cached_clips(model, episodes(2), "front", SHAPE, per_episode=1, folder=tmp_path)
        return len(list((tmp_path / "clips").iterdir()))

    assert [files(), files()] == [2, 2]
    with torch.no_grad():
        next(model.pipe.vae.parameters()).add_(0.1)
    assert files() == 4


def test_clips_begin_evenly_over_an_episode_and_once_in_a_short_one() -> None:
    long, short = tiny_episode(0, length=61, rate_hz=20.0), tiny_episode(0, length=17, rate_hz=20.0)
    assert start_times(long, SHAPE, 3) == pytest.approx([0.0, 1.125, 2.25], abs=0.01)
    assert start_times(short, SHAPE, 3) == [0.0]


def _lora(tiny_pipeline: Pipelines, folder: Path) -> Path:
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    fit_lora(model, episodes(), "front", CONFIG, folder)
    return folder / LORA_FILE


def test_keys_of_a_trainer_that_diffusers_ignores_silently_load_and_act(
    tiny_pipeline: Pipelines, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = load_tensors(_lora(tiny_pipeline, tmp_path / "lora"))
    original = {"attn1": "self_attn", "attn2": "cross_attn", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
    foreign = {}
    for key, value in state.items():
        name = (
            key.removeprefix("transformer.").replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")
        )
        for ours, theirs in {**original, "ffn.net.0.proj": "ffn.0", "ffn.net.2": "ffn.2"}.items():
            name = name.replace(ours, theirs)
        foreign[name] = value
    save_tensors(tmp_path / "foreign.safetensors", foreign)
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    with caplog.at_level(logging.WARNING):
        model.pipe.load_lora_weights(str(tmp_path), weight_name="foreign.safetensors")
    assert not model.pipe.get_active_adapters(), "plain diffusers takes them now: the guard may go"
    load_lora(model.pipe, tmp_path / "foreign.safetensors")
    assert model.pipe.get_active_adapters()


def test_a_lora_for_another_base_is_refused(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    file = _lora(tiny_pipeline, tmp_path / "lora")
    wider = {k: v.repeat(1, 2) if "lora_A" in k else v for k, v in load_tensors(file).items()}
    deeper = {k.replace("blocks.1", "blocks.39"): v for k, v in load_tensors(file).items()}
    for name, state in (("wider", wider), ("deeper", deeper)):
        save_tensors(tmp_path / f"{name}.safetensors", state)
        model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
        with pytest.raises(ConfigError, match="another base model"):
            load_lora(model.pipe, tmp_path / f"{name}.safetensors")


def test_a_lora_that_changes_nothing_is_refused(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    zero = {k: v * 0 if "lora_B" in k else v for k, v in load_tensors(_lora(tiny_pipeline, tmp_path / "a")).items()}
    save_tensors(tmp_path / "zero.safetensors", zero)
    model: Any = load_model(str(tiny_pipeline("wan 2.2 ti2v")), PLAIN)
    with pytest.raises(ConfigError, match="changes nothing"):
        load_lora(model.pipe, tmp_path / "zero.safetensors")
    with pytest.raises(MissingFileError, match="expected a LoRA"):
        load_lora(model.pipe, tmp_path / "nothing")


def test_models_whose_training_sample_is_unknown_are_not_fitted(tiny_pipeline: Pipelines, tmp_path: Path) -> None:
    model: Any = load_model(str(tiny_pipeline("ltx")), PLAIN)
    with pytest.raises(ConfigError, match="is not known here"):
        fit_lora(model, episodes(), "front", CONFIG, tmp_path)


def test_a_mark_of_weights_changes_with_them() -> None:
    layer = torch.nn.Linear(3, 3)
    before = weights_mark(layer)
    with torch.no_grad():
        layer.weight[1, 1] += 1e-3
    assert weights_mark(layer) != before
