"""Presets: parameter counts against the published ones, on the meta device."""

import pytest
import torch
from torch import nn

from groot.checkpoint import on_meta_device, parameter_count
from groot.network.dit import DiTConfig
from groot.network.model import ActionHead, Groot
from groot.presets import PRESETS, PUBLISHED, HeadConfig, preset
from storage.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_part_sizes_equal_the_published_ones(name: str) -> None:
    head = on_meta_device(ActionHead, preset(name).head)
    for part, count in PUBLISHED[name].items():
        module = getattr(head, part)
        assert isinstance(module, nn.Module)
        assert parameter_count(module) == count


def test_the_action_head_of_n1_fills_the_gap_between_the_whole_model_and_its_vlm() -> None:
    head = parameter_count(on_meta_device(ActionHead, preset("n1").head))
    assert head == pytest.approx(2.2e9 - 1.34e9, rel=0.03)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_builds_an_action_head(name: str) -> None:
    config = preset(name)
    head = on_meta_device(ActionHead, config.head)
    assert isinstance(head, ActionHead)
    assert config.name == name
    assert len(head.dit.blocks) == config.head.dit.layers


def test_the_starter_is_small_enough_to_ship() -> None:
    model = on_meta_device(Groot, preset("starter"))
    assert parameter_count(model) * 4 < 16e6


def test_generations_differ_where_the_papers_say() -> None:
    old, frozen, alternating, relative = (preset(name) for name in ("n1", "n1.5", "n1.6", "n1.7"))
    assert (old.head.state_size, old.head.action_size, old.head.horizon) == (64, 32, 16)
    assert not frozen.backbone.tune_vision
    assert frozen.future_weight == 0.2
    assert alternating.head.dit.layers == 2 * old.head.dit.layers
    assert (alternating.backbone.tune_top, alternating.actions) == (4, "state_relative")
    assert (relative.head.action_size, relative.head.horizon) == (132, 40)


def test_an_unknown_preset_lists_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"n1\.5"):
        preset("n1.55")


def test_sizes_that_cannot_fit_together_are_refused() -> None:
    dit = DiTConfig(layers=1, heads=2, head_width=4, context_width=8, output_width=8)
    with pytest.raises(ConfigError, match="adapter of 3 heads"):
        HeadConfig(dit=dit, adapter=(1, 3, 4))
    with pytest.raises(ConfigError, match="positions"):
        HeadConfig(dit=dit, horizon=16, positions=8)


def test_meta_modules_take_no_memory() -> None:
    head = on_meta_device(ActionHead, preset("n1.7").head)
    assert all(p.device == torch.device("meta") for p in head.parameters())
