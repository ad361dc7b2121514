"""Health: a model that has collapsed is seen through, whatever it reconstructs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lapa.fitting.fit import LapaFit
from lapa.fitting.health import CollapseRule, Gates, code_use, measure, spread_steps
from lapa.labelling.encode_clip import Latents
from lapa.network.model import LatentActionModel
from lapa.presets import tiny
from lapa.testing import moving_clips
from storage.errors import InputError


def latents_of(indices: np.ndarray) -> Latents:
    nothing = np.zeros((len(indices), 1), np.float32)
    return Latents(nothing, nothing, indices.astype(np.int32))


def test_a_fitted_model_passes_its_gates(fitted: tuple[LapaFit, Path]) -> None:
    assert fitted[0].failures == ()


def test_perplexity_of_even_use_is_the_whole_codebook() -> None:
    use = code_use([latents_of(np.arange(64).reshape(16, 4) % 8)], 8)
    assert use["used_share"] == 1.0
    assert use["perplexity_share"] == pytest.approx(1.0)


def test_one_code_for_everything_is_one_over_the_codebook() -> None:
    use = code_use([latents_of(np.full((16, 4), 3))], 8)
    assert use == {"used_share": 1 / 8, "perplexity_share": pytest.approx(1 / 8), "largest_sequence_share": 1.0}


def test_code_use_is_counted_over_all_clips_together() -> None:
    """Each clip uses one code of its own; per clip that looks collapsed, over the set it does not."""
    clips = [latents_of(np.full((10, 2), code)) for code in range(8)]
    assert code_use(clips, 8)["perplexity_share"] == pytest.approx(1.0)


def collapsed(how: str) -> LatentActionModel:
    """A model whose latent is constant, or whose decoder ignores the codes."""
    torch.manual_seed(0)
    model = LatentActionModel(tiny())
    model.train()
    with torch.no_grad():
        last = model.encoder.readout.all  # type: ignore[union-attr]
        if how == "constant latent":
            last.weight.zero_()  # type: ignore[union-attr,operator]
            last.bias.copy_(torch.linspace(-1, 1, len(last.bias)))  # type: ignore[union-attr,operator,arg-type]
        model.quantizer(torch.randn(64, 2, 4))
    return model.eval()


@pytest.mark.parametrize("how", ["constant latent", "ignored codes"])
def test_a_collapsed_model_fails_its_gates_and_is_stopped(how: str) -> None:
    health = measure(collapsed(how), moving_clips(range(3)))
    failed = " ".join(health.failures(Gates()))
    assert "endpoint swap 1" in failed
    assert "collapsed" in CollapseRule(after_step=100)(100, health.figures())
    if how == "constant latent":
        assert "codes used" in failed
        assert "S-PCFC 1" in failed


def test_a_run_is_given_time_before_it_is_judged() -> None:
    figures = measure(collapsed("constant latent"), moving_clips(range(2))).figures()
    assert CollapseRule(after_step=100)(99, figures) == ""


def test_a_healthy_model_is_not_stopped(fitted: tuple[LapaFit, Path]) -> None:
    assert CollapseRule(after_step=0)(1, fitted[0].health.figures()) == ""


def test_a_model_without_a_bottleneck_is_judged_without_codes() -> None:
    model = LatentActionModel(replace(tiny(), quantizer=replace(tiny().quantizer, kind="none")))
    health = measure(model.eval(), moving_clips(range(2)))
    assert health.used_share == 0
    assert not any("codes" in failure or "perplexity" in failure for failure in health.failures(Gates()))


def test_a_figure_that_is_not_a_number_fails() -> None:
    health = measure(collapsed("constant latent"), moving_clips(range(2)))
    assert any("S-PCFC nan" in text for text in replace(health, static_cosine=float("nan")).failures(Gates()))


def test_measuring_is_repeatable_and_leaves_the_model_as_it_was(fitted: tuple[LapaFit, Path]) -> None:
    model, clips = fitted[0].model.network, moving_clips(range(200, 203))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    one, other = measure(model, clips), measure(model, clips)
    assert model.training
    model.eval()
    assert one == other
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nothing_to_measure_on_is_an_error() -> None:
    clip = moving_clips(range(1))[0]
    with pytest.raises(InputError, match="no good pair"):
        spread_steps([replace(clip, flags=np.ones_like(clip.flags))], 100)
