"""Batches: drawn by position, from good pairs only, few of them labelled, read from disk when they are needed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from groot.fit import Position
from lapa.fitting.batches import BatchConfig, PairBatches
from lapa.fitting.windows import PairReader, pair_reader
from lapa.network.augment import AugmentConfig, augment_pair
from lapa.testing import CONFIG, SIZE_PX, dataset_of, moving_clips, moving_episode
from storage.embodiment import PANDA
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.frames import Frames
from storage.training_reader.training_data import TrainingData


def batches(count: int, source: PairBatches, step: int = 0) -> list[dict[str, np.ndarray]]:
    return list(islice(source(Position(step=step)), count))


def reader(root: Path, episodes: Sequence[Episode]) -> PairReader:
    data = TrainingData(dataset=dataset_of(root / "data", episodes), action="", held_out_share=0.0)
    return pair_reader(data, data.episodes()[0], SIZE_PX, CONFIG)


def moving(seeds: range) -> list[Episode]:
    return [moving_episode(seed) for seed in seeds]


def as_panda(episode: Episode) -> Episode:
    state = np.zeros((episode.length, PANDA.state.size), np.float32)
    place = PANDA.state.slices()["end_effector_position"].start
    state[:, place : place + 2] = episode.arrays["state"][:, :2]
    return replace(episode, embodiment="panda", arrays={"state": state})


def test_pairs_are_the_frames_of_their_two_moments(tmp_path: Path) -> None:
    valid = np.ones(40, bool)
    valid[[4, 9]] = False
    gaps = replace(moving_episode(8), arrays={**moving_episode(8).arrays, "valid": valid})
    for source in (reader(tmp_path / "whole", moving(range(2))), reader(tmp_path / "gaps", [gaps])):
        for number, clip in enumerate(source.clips):
            rows = np.stack([np.full(len(clip.pairs), number), clip.pairs], axis=1)
            read, images = source.read(rows), clip.episode.cameras["front"].decode()
            assert np.array_equal(read["now"], images[clip.pairs])
            assert np.array_equal(read["later"], images[clip.later[clip.pairs]])


def test_a_stream_that_starts_later_continues_the_first_one(tmp_path: Path) -> None:
    source = PairBatches([reader(tmp_path, moving(range(3)))], BatchConfig(batch=4))
    whole, tail = batches(5, source), batches(2, source, step=3)
    for one, other in zip(whole[3:], tail, strict=True):
        assert np.array_equal(one["now"], other["now"])
        assert np.array_equal(one["later"], other["later"])
    assert not np.array_equal(whole[0]["now"], whole[1]["now"])


def test_loader_processes_change_nothing(tmp_path: Path) -> None:
    source = reader(tmp_path, moving(range(3)))
    config = BatchConfig(batch=4)
    helped = PairBatches([source], config, workers=1)(Position())
    for one, other in zip(batches(3, PairBatches([source], config)), helped, strict=False):
        assert np.array_equal(one["later"], other["later"])


def test_processes_draw_different_batches(tmp_path: Path) -> None:
    source = PairBatches([reader(tmp_path, moving(range(3)))], BatchConfig(batch=4))
    other = next(source(Position(process=1, processes=2)))
    assert not np.array_equal(batches(1, source)[0]["now"], other["now"])


def test_flagged_steps_are_never_drawn(tmp_path: Path) -> None:
    red = np.zeros((*SIZE_PX, 3), np.uint8)
    red[..., 0] = 255
    episode = moving_episode(7)
    images = episode.cameras["front"].decode()
    images[20:] = red  # one colour, and frozen
    spoilt = replace(episode, cameras={"front": Frames.encode(images, "lossless")})
    source = PairBatches([reader(tmp_path, [*moving(range(2)), spoilt])], BatchConfig(batch=8))
    for batch in batches(30, source):
        assert not (batch["later"] == red).all(axis=(1, 2, 3)).any()


def test_weights_decide_how_often_a_source_is_seen(tmp_path: Path) -> None:
    robot = reader(tmp_path / "robot", moving(range(2)))
    blue_ground = [replace(moving_episode(seed), layer="human", embodiment="human", arrays={}) for seed in (2, 5)]
    human = reader(tmp_path / "human", blue_ground)
    config = BatchConfig(batch=40, weights={"simulation/so_arm": 3.0, "human/human": 1.0})
    drawn = np.concatenate([batch["now"][:, 0, -1, 2] for batch in batches(25, PairBatches([robot, human], config))])
    assert abs((drawn < 140).mean() - 0.75) < 0.05


def test_the_labelled_pairs_are_the_wanted_share_and_stay_the_same(tmp_path: Path) -> None:
    source = PairBatches([reader(tmp_path, moving(range(6)))], BatchConfig(labelled_share=0.05, label_batch=64))
    total = sum(len(clip.pairs) for clip in source.clips)
    assert len(source.labelled.rows) == round(0.05 * total)
    seen = np.concatenate([batch["motion/so_arm"] for batch in batches(20, source)])
    assert len(np.unique(seen, axis=0)) == len(source.labelled.rows)


def test_labels_say_how_the_state_changes_in_units_of_its_spread(tmp_path: Path) -> None:
    source = PairBatches([reader(tmp_path, moving(range(6)))], BatchConfig(labelled_share=0.5, label_batch=256))
    motion = batches(1, source)[0]["motion/so_arm"]
    assert np.allclose(motion[:, :2].std(axis=0), 1, atol=0.2)
    assert (motion[:, 2:] == 0).all()  # joints that never move
    assert source.label_sizes == {"so_arm": 6}


def test_the_motion_of_unlabelled_episodes_is_never_seen(tmp_path: Path) -> None:
    clips = moving(range(6))
    secret = tuple(episode.episode_id for episode in clips[:4])
    source = PairBatches([reader(tmp_path, clips)], BatchConfig(labelled_share=1.0, unlabelled=secret))
    seen = {source.clips[int(place)].episode.episode_id for place in source.labelled.rows[:, 0]}
    assert seen == {episode.episode_id for episode in clips[4:]}


def test_an_embodiment_may_show_more_of_its_motion_and_each_gives_as_many_pairs(tmp_path: Path) -> None:
    arms = moving(range(4))
    others = [as_panda(episode) for episode in moving(range(10, 14))]
    parts = {"panda": ("end_effector_position",)}
    config = BatchConfig(labelled_share=0.1, labelled_shares={"panda": 1.0}, label_batch=400, label_parts=parts)
    source = PairBatches([reader(tmp_path / "a", arms), reader(tmp_path / "b", others)], config)
    known = {name: np.isfinite(each).all(axis=1) for name, each in source.labelled.motions.items()}
    pairs = {name: sum(len(clip.pairs) for clip in source.clips if clip.episode.embodiment == name) for name in known}
    assert known["panda"].sum() == pairs["panda"]
    assert known["so_arm"].sum() == round(0.1 * pairs["so_arm"])
    drawn = batches(1, source)[0]
    share = np.isfinite(drawn["motion/panda"]).all(axis=1).mean()
    assert 0.4 < share < 0.6


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    still = replace(moving_episode(0), cameras={"front": Frames.encode([np.zeros((*SIZE_PX, 3), np.uint8)] * 40)})
    with pytest.raises(InputError, match="hold no pair"):
        reader(tmp_path / "still", [still])
    source = reader(tmp_path / "moving", moving(range(1)))
    with pytest.raises(ConfigError, match="weights name the sources"):
        PairBatches([source], BatchConfig(weights={"real/so_arm": 1.0}))
    unlabelled = reader(tmp_path / "bare", [replace(moving_episode(0), arrays={})])
    with pytest.raises(InputError, match="no episode has a state"):
        PairBatches([unlabelled], BatchConfig(labelled_share=0.1))


def test_augmentation_moves_both_frames_alike() -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(moving_clips(range(1))[0].frames_of(range(8)))
    now, later = augment_pair(images, images, AugmentConfig())
    assert torch.equal(now, later)
    assert not torch.equal(now, images)


def test_augmentation_that_is_off_changes_nothing() -> None:
    images = torch.from_numpy(moving_clips(range(1))[0].frames_of(range(8)))
    off = AugmentConfig(shift=0, zoom=0, brightness=0, contrast=0)
    assert torch.equal(augment_pair(images, images.flip(0), off)[1], images.flip(0))
