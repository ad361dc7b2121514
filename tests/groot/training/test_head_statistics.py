"""Heads whose sources differ: recordings and dreams under one head."""

from pathlib import Path

import numpy as np
import pytest

from groot.training.head_statistics import HeadOptions, heads_of
from groot.training.mixture import cells_of
from groot.training.mixture_config import Mixture, MixtureSource
from storage.datasets.dataset import Dataset
from storage.embodiment import embodiment_named
from storage.episode import Episode
from storage.errors import ConfigError
from storage.testing import tiny_episode, write_unit
from storage.training_reader.config import WindowConfig


def dream_of(episode: Episode, value: float) -> Episode:
    """The clip without a state, its actions predicted: all of them `value`."""
    width = embodiment_named(episode.embodiment).action.size
    predicted = (
        np.full((episode.length, width), value, np.float32) + np.arange(episode.length, dtype=np.float32)[:, None]
    )
    return Episode(
        episode_id=f"dream-{episode.episode_id}",
        layer="neural",
        embodiment=episode.embodiment,
        length=episode.length,
        rate_hz=episode.rate_hz,
        cameras=episode.cameras,
        arrays={"action/predicted": predicted},
    )


def mixture(root: Path, embodiment: str) -> Mixture:
    recorded = tiny_episode(1, layer="real", embodiment=embodiment)
    for name, episode in (("real", recorded), ("dreams", dream_of(recorded, 1000.0))):
        Dataset.create(root / name, name=name)
        write_unit(root / name, [episode])
    dreams = MixtureSource(dataset=str(root / "dreams"), kinds=("predicted",), same_head=True)
    return Mixture(stage="posttrain", sources=(MixtureSource(dataset=str(root / "real")), dreams))


def test_dreams_under_the_head_of_recordings_share_its_actions_and_leave_it_its_state(tmp_path: Path) -> None:
    cells, _ = cells_of(mixture(tmp_path, "panda"))
    heads = heads_of(cells, [cell.reader_source(cell.episodes) for cell in cells], WindowConfig(), HeadOptions())
    assert list(heads) == ["panda"]
    head = heads["panda"]
    assert head.state is not None
    assert head.action.scale.min() > 100  # as wide as recordings and dreams together
    alone = heads_of(cells[:1], [cells[0].reader_source(cells[0].episodes)], WindowConfig(), HeadOptions())["panda"]
    assert alone.state is not None
    assert np.array_equal(head.state.offset, alone.state.offset)


def test_chunks_relative_to_a_state_are_refused_where_there_is_none(tmp_path: Path) -> None:
    cells, _ = cells_of(mixture(tmp_path, "gr1"))
    sources = [cell.reader_source(cell.episodes) for cell in cells]
    with pytest.raises(ConfigError, match=r"dreams has no state.*actions: absolute"):
        heads_of(cells, sources, WindowConfig(), HeadOptions(relative=True))
