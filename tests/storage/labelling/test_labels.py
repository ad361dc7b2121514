"""The language of labels: older flags still read, shares that sum to one, nothing unlabelled behind an export."""

import numpy as np
import pytest

from storage.errors import ConfigError, SchemaError
from storage.labelling.labelled_runs import LeftOut, labelled_runs
from storage.labelling.labels import LabelFlag, current_flags, step_shares, without_label
from storage.testing import tiny_dataset, tiny_episode
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.training_data import TrainingData, held_out_ids
from storage.training_reader.windows import Windows


def test_flags_of_older_latents_are_read_in_todays_bits() -> None:
    stored = np.array([0, 1, 2, 4, 8, 16, 18], np.uint8)
    found = current_flags("label/flags/latent", stored).tolist()
    bits = (LabelFlag.CUT, LabelFlag.DARK, LabelFlag.FROZEN, LabelFlag.CORRUPT, LabelFlag.CUT | LabelFlag.CORRUPT)
    assert found == [0, LabelFlag.UNLABELLED, *(int(LabelFlag.UNLABELLED | bit) for bit in bits)]


def test_flags_of_older_actions_keep_their_bits() -> None:
    stored = np.arange(64, dtype=np.uint8)
    assert current_flags("label/flags/predicted", stored).tolist() == stored.tolist()


def test_shares_count_every_step_once() -> None:
    random = np.random.default_rng(0).integers(0, 512, 1000).astype(np.uint16)
    assert sum(step_shares(random).values()) == pytest.approx(1)


def test_a_step_without_a_label_may_be_nan_and_no_other() -> None:
    valid = np.arange(12) < 9
    action = without_label(np.ones((12, 7)), valid)
    tiny_episode(1, arrays={"action/predicted": action, "label/valid/predicted": valid})
    with pytest.raises(SchemaError, match="NaN"):
        tiny_episode(1, arrays={"action/predicted": action, "label/valid/predicted": np.ones(12, bool)})


def test_an_episode_is_cut_into_runs_in_which_every_step_has_its_label() -> None:
    valid = np.array([1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0], bool)
    arrays = {"action/predicted": without_label(np.ones((12, 7)), valid), "label/valid/predicted": valid}
    episode, left_out = tiny_episode(1, arrays=arrays), LeftOut()
    runs = list(labelled_runs(episode, left_out))
    assert [run.length for run in runs] == [3, 4]
    assert all(np.isfinite(run.arrays["action/predicted"]).all() for run in runs)
    images = episode.cameras["front"].decode()
    assert np.array_equal(runs[1].cameras["front"].decode(), images[6:10])
    assert {run.parent_id for run in runs} == {episode.episode_id}
    assert left_out.lines() == {"steps without a label (predicted)": 4}


def test_an_episode_with_all_labels_stays_as_it_is() -> None:
    episode = tiny_episode(1)
    assert list(labelled_runs(episode, LeftOut())) == [episode]


def test_the_hold_out_is_the_same_everywhere_and_at_least_one() -> None:
    ids = [f"episode-{number}" for number in range(20)]
    assert held_out_ids(ids, 0.2) == held_out_ids(reversed(ids), 0.2)
    assert len(held_out_ids(ids, 0.2)) == 4
    assert len(held_out_ids(ids[:3], 0.01)) == 1
    assert not held_out_ids(ids, 0.0)
    with pytest.raises(ConfigError, match="held_out_share"):
        TrainingData(dataset=None, held_out_share=1.0)  # type: ignore[arg-type]


def test_latents_and_commands_under_one_head_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from storage.testing import write_unit

    dataset = tiny_dataset(tmp_path / "data")
    latent = [tiny_episode(9, arrays={"action/latent": np.ones((12, 4), np.float32)}, episode_id="latent")]
    write_unit(dataset.root, latent, unit_id="latent")
    opened = type(dataset).open(dataset.root)
    sources = [Source(dataset=opened, name="commands"), Source(dataset=opened, name="latents", action="action/latent")]
    with pytest.raises(ConfigError, match="under one head"):
        Windows(sources, WindowConfig())
