from collections.abc import Callable
from pathlib import Path

import pytest

from generators.neural.clip_shape import ClipShape
from generators.neural.dream_config import GenerateClipsConfig
from generators.neural.models import memory
from generators.neural.models.memory import HUB, known_model, memory_plan, parameters_in, refuse_what_cannot_fit
from generators.neural.models.options import ModelOptions
from storage.errors import ConfigError

WAN_14B = "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"
SHAPE = ClipShape(frames=81, height_px=480, width_px=832, rate_hz=16.0)


def test_parameters_are_counted_from_the_headers_of_the_files(tiny_pipeline: Callable[[str], Path]) -> None:
    from generators.neural.models.load import load_model

    folder = tiny_pipeline("wan 2.2 ti2v")
    pipe = load_model(str(folder), ModelOptions(dtype="float32", device="cpu")).pipe
    assert parameters_in(folder / "transformer") == sum(p.numel() for p in pipe.transformer.parameters())
    assert known_model(str(folder)) is not None


def test_the_counts_of_the_large_model_are_those_of_its_class() -> None:
    from diffusers import WanTransformer3DModel

    from groot.checkpoint import on_meta_device, parameter_count

    whole = on_meta_device(lambda: WanTransformer3DModel(in_channels=36, image_dim=1280, added_kv_proj_dim=5120))
    assert parameter_count(whole) == pytest.approx(HUB[WAN_14B].parameters["transformer"], rel=0.01)


def test_offloading_lowers_the_peak_step_by_step() -> None:
    plan = memory_plan(WAN_14B, ModelOptions(), SHAPE, batch_size=1)
    assert plan is not None
    peaks = [plan.with_offload(way).peak_gb for way in ("none", "model", "group", "sequential")]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] > 40 > peaks[1] > 24 > peaks[2]


def test_what_cannot_fit_is_refused_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "device_memory_gb", lambda _options: 24.0)
    monkeypatch.setattr(memory, "device_of", lambda _options: "cuda")
    with pytest.raises(ConfigError, match="offload group or sequential would fit"):
        refuse_what_cannot_fit(GenerateClipsConfig(model=WAN_14B, batch_size=1))
    refuse_what_cannot_fit(GenerateClipsConfig(model=WAN_14B, batch_size=1, options={"offload": "group"}))


def test_a_hub_model_that_is_not_in_the_table_has_no_plan() -> None:
    assert memory_plan("someone/something", ModelOptions(), SHAPE, batch_size=1) is None
