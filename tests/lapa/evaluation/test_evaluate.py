"""The evaluation and its page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lapa.evaluation.evaluate import LapaEvaluateConfig, evaluate_clips, evaluate_lapa
from lapa.evaluation.report import write_report
from lapa.fitting.clips import read_clip
from lapa.fitting.fit import LapaFit
from lapa.labelling.saved_model import load_lapa
from lapa.testing import CONFIG, SIZE_PX, moving_clips, moving_dataset, moving_episode
from storage.errors import InputError


def two_bodies(seeds: range) -> list:
    human = (replace(moving_episode(seed), layer="human", embodiment="human", arrays={}) for seed in seeds)
    return [*moving_clips(seeds), *(read_clip(episode, SIZE_PX, CONFIG) for episode in human)]


def test_a_data_set_that_the_model_never_saw_is_split_and_measured(
    fitted: tuple[LapaFit, Path], tmp_path: Path
) -> None:
    moving_dataset(tmp_path / "data", episodes=12)
    found, _ = evaluate_lapa([tmp_path / "data"], LapaEvaluateConfig(model=str(fitted[1])))
    assert len(found.held_out) == 3
    table = found.probes["simulation/so_arm"]
    assert table["shuffled"]["arm"] < 0.1
    assert table["latent"]["arm"] > table["shuffled"]["arm"]
    assert json.loads(json.dumps(found.to_json()))["content_hash"] == fitted[0].model.card.content_hash


def test_the_page_stands_alone_and_shows_every_section(fitted: tuple[LapaFit, Path], tmp_path: Path) -> None:
    loaded = load_lapa(fitted[1])
    config = LapaEvaluateConfig(model="<model & co>", pairs=64)
    found = evaluate_clips(loaded, two_bodies(range(8)), two_bodies(range(30, 33)), config)
    page = write_report(found, loaded, tmp_path / "page.html", pictures=2).read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    for heading in ("Linear probes", "Code use by source", "Steps without a latent"):
        assert heading in page
    for heading in ("Nearest neighbours across bodies", "Actions moved to another scene", "Highest and lowest motion"):
        assert heading in page
    assert "human/human" in page
    assert "&lt;model &amp; co&gt;" in page


def test_sources_without_state_have_no_probe(fitted: tuple[LapaFit, Path]) -> None:
    loaded = load_lapa(fitted[1])
    found = evaluate_clips(loaded, two_bodies(range(8)), two_bodies(range(30, 33)), LapaEvaluateConfig(model="m"))
    assert list(found.probes) == ["simulation/so_arm"]
    assert set(found.code_shares) == {"human/human", "simulation/so_arm"}
    assert all(np.isclose(sum(shares), 1, atol=1e-3) for shares in found.code_shares.values())


def test_data_without_any_pair_is_refused(fitted: tuple[LapaFit, Path]) -> None:
    with pytest.raises(InputError, match="no good pair"):
        evaluate_clips(load_lapa(fitted[1]), [], [], LapaEvaluateConfig(model="m"))
