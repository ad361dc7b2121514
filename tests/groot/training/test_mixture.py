"""Mixtures: which kinds each layer gives, shares, refusals."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from groot.training.mixture import cells_of, head_name, snapshot_of, split_episodes
from groot.training.mixture_config import Mixture, MixtureSource
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, UnknownNameError
from storage.testing import tiny_dataset, tiny_episode, write_unit

LATENT = {"action/latent": np.ones((12, 4), np.float32)}


def two_layers(root: Path) -> Path:
    """A data set with a real and a simulated unit, both with latents, and a human one with latents alone."""
    Dataset.create(root, name="two")
    for layer, seeds in (("real", (1, 2)), ("simulation", (3, 4, 5, 6))):
        write_unit(root, [tiny_episode(seed, layer=layer, arrays=LATENT) for seed in seeds])  # type: ignore[arg-type]
    write_unit(root, [tiny_episode(7, layer="human", embodiment="human", arrays=LATENT)])
    return root


def shares(mixture: Mixture) -> dict[tuple[str, str], float]:
    cells, _ = cells_of(mixture)
    total = sum(cell.weight for cell in cells)
    return {(cell.layer, cell.kind): cell.weight / total for cell in cells}


def test_each_layer_gives_its_kinds_and_each_kind_has_a_head_of_its_own(tmp_path: Path) -> None:
    cells, left_out = cells_of(Mixture(sources=(MixtureSource(dataset=str(two_layers(tmp_path / "d"))),)))
    assert {(cell.layer, cell.kind, cell.head) for cell in cells} == {
        ("real", "latent", "latent"),
        ("real", "ground_truth", "panda"),
        ("simulation", "latent", "latent"),
        ("simulation", "ground_truth", "panda"),
        ("human", "latent", "latent"),
    }
    assert left_out == []
    assert head_name("panda", "predicted") == "panda:predicted"


def test_equal_data_elsewhere_is_read_in_the_same_order(tmp_path: Path) -> None:
    def names(root: Path) -> list[str]:
        cells, _ = cells_of(Mixture(sources=(MixtureSource(dataset=str(root)), MixtureSource(dataset=str(root)))))
        return [cell.reader_source(cell.episodes).name for cell in cells]

    here, elsewhere = two_layers(tmp_path / "here"), tmp_path / "moved" / "elsewhere"
    shutil.copytree(here, elsewhere)
    assert names(here) == names(elsewhere)
    assert len(set(names(here))) == len(names(here))


def test_predicted_actions_train_the_head_of_recorded_ones_where_a_source_says_so(tmp_path: Path) -> None:
    predicted = {**LATENT, "action/predicted": np.ones((12, 7), np.float32)}
    Dataset.create(tmp_path / "d", name="dreams")
    write_unit(tmp_path / "d", [tiny_episode(1, layer="neural", arrays=predicted)])
    heads = {}
    for same_head in (False, True):
        source = MixtureSource(dataset=str(tmp_path / "d"), kinds=("predicted", "latent"), same_head=same_head)
        cells, _ = cells_of(Mixture(sources=(source,)))
        heads[same_head] = {cell.kind: cell.head for cell in cells}
        assert {cell.reader_source(cell.episodes).action for cell in cells} == {"action/predicted", "action/latent"}
    assert heads[False] == {"predicted": "panda:predicted", "latent": "latent"}
    assert heads[True] == {"predicted": "panda", "latent": "latent"}


def test_shares_follow_frames_layers_and_weights(tmp_path: Path) -> None:
    source = MixtureSource(dataset=str(two_layers(tmp_path / "d")), kinds=("ground_truth",))
    by_frames = shares(Mixture(sources=(source,)))
    assert by_frames["simulation", "ground_truth"] == pytest.approx(4 / 6)
    by_layer = shares(Mixture(sources=(source,), balance="layers"))
    assert by_layer["simulation", "ground_truth"] == pytest.approx(1 / 2)
    equal = shares(Mixture(sources=(source,), frames_power=0.0))
    assert equal["real", "ground_truth"] == pytest.approx(1 / 2)
    tilted = shares(Mixture(sources=(source,), balance="layers", layer_weights={"real": 3.0}))
    assert tilted["real", "ground_truth"] == pytest.approx(3 / 4)


def test_explicit_weights_are_shared_out_within_a_source(tmp_path: Path) -> None:
    one, other = str(two_layers(tmp_path / "a")), str(tiny_dataset(tmp_path / "b").root)
    cells, _ = cells_of(
        Mixture(
            sources=(
                MixtureSource(dataset=one, kinds=("ground_truth",), weight=3.0),
                MixtureSource(dataset=other, kinds=("ground_truth",), weight=1.0),
            ),
            balance="explicit",
        )
    )
    of_first = sum(cell.weight for cell in cells if cell.source.dataset == one)
    assert of_first / sum(cell.weight for cell in cells) == pytest.approx(3 / 4)


def test_a_kind_that_is_asked_for_and_missing_is_refused_by_name(tmp_path: Path) -> None:
    data = str(tiny_dataset(tmp_path / "d").root)
    with pytest.raises(ConfigError, match=r"no action/predicted.*ground_truth"):
        cells_of(Mixture(sources=(MixtureSource(dataset=data, kinds=("predicted",)),)))
    _, left_out = cells_of(Mixture(sources=(MixtureSource(dataset=data),)))
    assert "no action/latent" in left_out[0], "what is not there is named"


def test_weights_that_sum_to_zero_and_no_source_are_refused(tmp_path: Path) -> None:
    data = str(tiny_dataset(tmp_path / "d").root)
    with pytest.raises(ConfigError, match="sum to zero"):
        cells_of(Mixture(sources=(MixtureSource(dataset=data, weight=0.0),)))
    with pytest.raises(ConfigError, match="at least one source"):
        cells_of(Mixture())
    with pytest.raises(ConfigError, match="explicit"):
        Mixture(sources=(MixtureSource(dataset=data),), balance="explicit")
    with pytest.raises(UnknownNameError, match="simulation"):
        MixtureSource(dataset=data, layers=("simulated",))


def test_what_is_committed_after_the_snapshot_is_not_read(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "d", units=1).root
    mixture = Mixture(sources=(MixtureSource(dataset=str(root)),))
    before, _ = cells_of(mixture)
    snapshot = snapshot_of(before, mixture)
    write_unit(root, [tiny_episode(77)])
    grown, _ = cells_of(mixture)
    again, _ = cells_of(mixture, snapshot)
    assert again[0].episodes == before[0].episodes
    assert len(grown[0].episodes) == len(before[0].episodes) + 1


def test_held_out_episodes_are_the_same_for_every_kind(tmp_path: Path) -> None:
    cells, _ = cells_of(Mixture(sources=(MixtureSource(dataset=str(two_layers(tmp_path / "d"))),)))
    training, held_out = split_episodes(cells, 0.5)
    for source in training:
        for other in held_out:
            if source.layers == other.layers:
                assert source.episodes is not None
                assert other.episodes is not None
                assert not source.episodes & other.episodes


def test_a_number_of_episodes_is_a_subset_that_only_grows(tmp_path: Path) -> None:
    root = str(tiny_dataset(tmp_path / "d", units=2, episodes_per_unit=4).root)

    def chosen(count: int) -> frozenset[str]:
        cells, _ = cells_of(Mixture(sources=(MixtureSource(dataset=root, episodes=count),)))
        return cells[0].episodes

    assert len(chosen(3)) == 3
    assert chosen(3) < chosen(5) < chosen(0)
