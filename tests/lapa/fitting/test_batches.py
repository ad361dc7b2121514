"""Batches: drawn by position, from good pairs only, few of them labelled."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from groot.fit import Position
from lapa.fitting.batches import BatchConfig, PairBatches
from lapa.fitting.clips import read_clip
from lapa.network.augment import AugmentConfig, augment_pair
from lapa.testing import CONFIG, SIZE_PX, moving_clips, moving_episode
from storage.errors import ConfigError, InputError
from storage.frames import Frames


def batches(count: int, source: PairBatches, step: int = 0) -> list[dict[str, np.ndarray]]:
    return list(islice(source(Position(step=step)), count))


def test_a_stream_that_starts_later_continues_the_first_one() -> None:
    source = PairBatches(moving_clips(range(3)), BatchConfig(batch=4))
    whole, tail = batches(5, source), batches(2, source, step=3)
    for one, other in zip(whole[3:], tail, strict=True):
        assert np.array_equal(one["now"], other["now"])
        assert np.array_equal(one["later"], other["later"])
    assert not np.array_equal(whole[0]["now"], whole[1]["now"])


def test_processes_draw_different_batches() -> None:
    source = PairBatches(moving_clips(range(3)), BatchConfig(batch=4))
    other = next(source(Position(process=1, processes=2)))
    assert not np.array_equal(batches(1, source)[0]["now"], other["now"])


def test_flagged_steps_are_never_drawn() -> None:
    clips = moving_clips(range(2))
    red = np.zeros((*SIZE_PX, 3), np.uint8)
    red[..., 0] = 255
    episode = moving_episode(7)
    images = episode.cameras["front"].decode()
    images[20:] = red  # a cut, then frozen
    spoilt = read_clip(replace(episode, cameras={"front": Frames.encode(images, "lossless")}), SIZE_PX, CONFIG)
    for batch in batches(30, PairBatches([*clips, spoilt], BatchConfig(batch=8))):
        assert not (batch["later"] == red).all(axis=(1, 2, 3)).any()


def test_weights_decide_how_often_a_source_is_seen() -> None:
    robot = moving_clips(range(2))
    blue_ground = (replace(moving_episode(seed), layer="human", embodiment="human", arrays={}) for seed in (2, 5))
    human = [read_clip(episode, SIZE_PX, CONFIG) for episode in blue_ground]
    config = BatchConfig(batch=40, weights={"simulation/so_arm": 3.0, "human/human": 1.0})
    drawn = np.concatenate([batch["now"][:, 0, -1, 2] for batch in batches(25, PairBatches([*robot, *human], config))])
    assert abs((drawn < 140).mean() - 0.75) < 0.05


def test_the_labelled_pairs_are_the_wanted_share_and_stay_the_same() -> None:
    clips = moving_clips(range(6))
    source = PairBatches(clips, BatchConfig(labelled_share=0.05, label_batch=64))
    total = sum(len(clip.pairs) for clip in clips)
    assert len(source.labelled) == round(0.05 * total)
    seen = np.concatenate([batch["motion/so_arm"] for batch in batches(20, source)])
    assert len(np.unique(seen, axis=0)) == len(source.labelled)


def test_labels_say_how_the_state_changes_in_units_of_its_spread() -> None:
    source = PairBatches(moving_clips(range(6)), BatchConfig(labelled_share=0.5, label_batch=256))
    motion = batches(1, source)[0]["motion/so_arm"]
    assert np.allclose(motion[:, :2].std(axis=0), 1, atol=0.2)
    assert (motion[:, 2:] == 0).all()  # joints that never move
    assert source.label_sizes == {"so_arm": 6}


def test_nothing_to_learn_from_is_said() -> None:
    clip = read_clip(moving_episode(0), SIZE_PX, CONFIG)
    with pytest.raises(InputError, match="hold no pair"):
        PairBatches([replace(clip, flags=np.ones_like(clip.flags))], BatchConfig())
    with pytest.raises(ConfigError, match="weights name the sources"):
        PairBatches([clip], BatchConfig(weights={"real/so_arm": 1.0}))
    unlabelled = read_clip(replace(moving_episode(0), arrays={}), SIZE_PX, CONFIG)
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
