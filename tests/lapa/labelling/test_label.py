"""Labels: one a step, in order, none invented, none from a model that is unfit."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lapa.fitting.fit import LapaFit
from lapa.labelling.encode_clip import encode_clip, encode_video
from lapa.labelling.label import LabelLatents
from lapa.labelling.label_config import LapaLabelConfig
from lapa.testing import fit_tiny, moving_episode, tiny_fit_config
from storage.episode import Episode
from storage.errors import UnfitModelError
from storage.frames import Frames
from storage.ids import Randomness
from storage.labelling.labels import DropReason, LabelFlag
from storage.outcomes import Dropped, Kept
from storage.pictures.frame_checks import FrameCheckConfig
from storage.pictures.read_ahead import Reading

RANDOM = Randomness(0, "lapa_label")


@pytest.fixture(scope="module")
def labeller(fitted: tuple[LapaFit, Path]) -> LabelLatents:
    return LabelLatents(LapaLabelConfig(model=str(fitted[1]), batch=7, windows_s={"so_arm": 0.25, "human": 0.25}))


def label(labeller: LabelLatents, episode: Episode) -> Episode:
    outcome = labeller([episode], RANDOM)[0][0]
    assert isinstance(outcome, Kept)
    return outcome.episode


def refusal(labeller: LabelLatents, episode: Episode) -> str:
    outcome = labeller([episode], RANDOM)[0][0]
    assert isinstance(outcome, Dropped)
    assert outcome.reason in set(DropReason)
    return str(outcome.detail["why"])


def with_images(episode: Episode, images: np.ndarray) -> Episode:
    return replace(episode, cameras={"front": Frames.encode(images, "lossless")}, length=len(images), arrays={})


def test_labels_reach_the_end_of_a_clip_by_the_last_window_inside(labeller: LabelLatents) -> None:
    found = label(labeller, moving_episode(50)).arrays
    assert found["label/valid/latent"].all()
    assert np.array_equal(found["action/latent"][35:], found["action/latent"][[34] * 5])
    stretched = np.flatnonzero(found["label/flags/latent"] & LabelFlag.STRETCHED)
    assert stretched.tolist() == [35, 36, 37, 38, 39]


def test_every_step_without_a_label_says_so_and_no_other(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()
    images[10:12] = 0
    found = label(labeller, with_images(moving_episode(50), images)).arrays
    valid = found["label/valid/latent"]
    assert 0 < valid.sum() < 40
    assert np.array_equal(valid, (found["label/flags/latent"] & LabelFlag.UNLABELLED) == 0)
    assert np.isfinite(found["action/latent"][valid]).all()
    assert np.isnan(found["action/latent"][~valid]).all()
    assert (found["label/codes"][valid] >= 0).all()
    assert (found["label/codes"][~valid] == -1).all()


def test_labels_are_the_embeddings_before_quantisation(labeller: LabelLatents) -> None:
    found = label(labeller, moving_episode(50)).arrays
    latent = torch.from_numpy(found["action/latent"][:35]).view(35, 2, 4)
    out = labeller.model.network.quantise(latent)
    assert not torch.allclose(out.codes, latent, atol=1e-3)
    assert np.array_equal(out.indices.numpy(), found["label/codes"][:35])


def test_the_label_of_a_step_is_that_of_its_own_two_frames(labeller: LabelLatents) -> None:
    """Order: each step is labelled again from a clip that holds nothing but its own pair."""
    episode = moving_episode(51)
    images, whole = episode.cameras["front"].decode(), label(labeller, moving_episode(51)).arrays["action/latent"]
    model = labeller.model.network
    for step in (0, 6, 7, 20, 34):
        now, later = (model.look(torch.from_numpy(images[[place]])) for place in (step, step + 5))
        assert np.allclose(model.encoder(now, later).detach().numpy().ravel(), whole[step], atol=1e-4)


def test_labels_do_not_depend_on_the_batch_or_the_company(labeller: LabelLatents) -> None:
    alone = label(labeller, moving_episode(52)).arrays["action/latent"]
    outcomes = labeller([moving_episode(50), moving_episode(52), moving_episode(51)], RANDOM)
    assert isinstance(outcomes[1][0], Kept)
    in_company = outcomes[1][0].episode.arrays["action/latent"]
    assert np.allclose(alone, in_company, atol=1e-5, equal_nan=True)
    clip_batches = replace(labeller.config, batch=64, block=9, threads=3)
    assert np.allclose(
        alone, label(LabelLatents(clip_batches), moving_episode(52)).arrays["action/latent"], atol=1e-5, equal_nan=True
    )


def test_a_clip_at_half_the_rate_gets_nearly_the_same_labels(labeller: LabelLatents) -> None:
    """The window is a time, not a number of frames: 0.25 s is 5 frames at 20 Hz and 10 at 40 Hz."""
    fast = moving_episode(53)
    doubled = with_images(fast, fast.cameras["front"].decode().repeat(2, axis=0))
    slow = label(labeller, fast).arrays["action/latent"]
    twice = label(labeller, replace(doubled, rate_hz=40.0)).arrays["action/latent"]
    assert np.allclose(twice[::2], slow, atol=1e-5)


def test_provenance_names_the_model_the_window_and_what_was_masked(labeller: LabelLatents) -> None:
    about = label(labeller, moving_episode(50)).provenance["lapa"]
    assert about["model"] == labeller.model.content_hash
    assert about["window_s"] == 0.25
    assert about["masked"]["labelled"] == 1.0
    assert about["flagged"] == {"stretched": pytest.approx(5 / 40)}
    assert about["understanding"]["toward_future"] < 1
    assert about["failed_gates"] == []


def test_a_cut_masks_the_steps_across_it(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()
    inverted = np.concatenate([images[:20], 255 - images[20:]])
    found = label(labeller, with_images(moving_episode(50), inverted)).arrays
    assert np.flatnonzero(~found["label/valid/latent"]).tolist() == [*range(15, 20)]


def test_a_corrupt_frame_in_the_middle_costs_two_labels(labeller: LabelLatents) -> None:
    episode = moving_episode(50)
    payloads = list(episode.cameras["front"].payloads)
    payloads[20] = b"not an image"
    broken = replace(episode, cameras={"front": replace(episode.cameras["front"], payloads=payloads)})
    found = label(labeller, broken).arrays
    assert np.flatnonzero(~found["label/valid/latent"]).tolist() == [15, 20]


def test_black_frames_are_masked(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()
    images[10:12] = 0
    found = label(labeller, with_images(moving_episode(50), images)).arrays
    assert np.flatnonzero(~found["label/valid/latent"][:35]).tolist() == [5, 6, 10, 11]


def test_frozen_video_is_refused_with_the_reason(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()[[3]].repeat(30, axis=0)
    assert "frozen" in refusal(labeller, with_images(moving_episode(50), images))


def test_a_clip_of_one_frame_is_refused(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()[:1]
    assert "hold no two that are 0.25 s apart" in refusal(labeller, with_images(moving_episode(50), images))


def test_an_episode_without_video_is_refused(labeller: LabelLatents) -> None:
    assert "has no video" in refusal(labeller, replace(moving_episode(50), cameras={}))


def test_a_missing_camera_is_refused_by_name(fitted: tuple[LapaFit, Path]) -> None:
    wrist = LabelLatents(LapaLabelConfig(model=str(fitted[1]), cameras=("wrist",)))
    assert "['front'], none of ['wrist']" in refusal(wrist, moving_episode(50))


def test_steps_that_the_source_marks_invalid_have_no_label(labeller: LabelLatents) -> None:
    valid = np.ones(40, bool)
    valid[12] = False
    episode = moving_episode(50)
    found = label(labeller, replace(episode, arrays={**episode.arrays, "valid": valid})).arrays
    assert np.flatnonzero(~found["label/valid/latent"][:35]).tolist() == [7, 12]


def test_clips_of_mixed_sizes_and_rates_are_labelled_side_by_side(labeller: LabelLatents) -> None:
    images = moving_episode(50).cameras["front"].decode()
    wide = images.repeat(2, axis=2)
    small = with_images(moving_episode(50), images)
    large = replace(with_images(moving_episode(51, episode_id="large"), wide), rate_hz=12.0)
    outcomes = LabelLatents(replace(labeller.config, force=True))([small, large], RANDOM)
    kept = [outcome[0].episode for outcome in outcomes if isinstance(outcome[0], Kept)]
    assert [int(e.arrays["label/valid/latent"].sum()) for e in kept] == [40, 40]


def test_an_unfit_model_refuses_to_label_unless_forced_and_the_labels_carry_its_failure(tmp_path: Path) -> None:
    fit = fit_tiny(tmp_path / "unfit", tiny_fit_config(steps=1))
    assert fit.failures
    with pytest.raises(UnfitModelError, match=r"fails its own gates: .*endpoint swap"):
        LabelLatents(LapaLabelConfig(model=str(tmp_path / "unfit")))
    forced = LabelLatents(LapaLabelConfig(model=str(tmp_path / "unfit"), force=True, windows_s={"so_arm": 0.25}))
    about = label(forced, moving_episode(50)).provenance["lapa"]
    assert any("endpoint swap" in failure for failure in about["failed_gates"])


def test_a_pan_over_a_still_picture_gets_no_label(labeller: LabelLatents) -> None:
    ground = np.random.default_rng(0).integers(0, 256, (12, 24, 3), dtype=np.uint8)
    wide = cv2.resize(ground, (96, 48), interpolation=cv2.INTER_CUBIC)
    images = np.stack([wide[8:40, step : step + 32] for step in range(40)])
    strict = LabelLatents(labeller.config)
    strict.model = replace(strict.model, clips=replace(strict.model.clips, cuts=FrameCheckConfig()))
    assert "camera motion" in refusal(strict, with_images(moving_episode(50), images))


def test_video_that_the_model_does_not_understand_is_refused_and_flagged_when_forced(labeller: LabelLatents) -> None:
    random = np.random.default_rng(0)
    patches = random.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    noise = with_images(moving_episode(50), patches.repeat(4, axis=1).repeat(4, axis=2))
    outcome = labeller([noise], RANDOM)[0][0]
    assert isinstance(outcome, Dropped)
    assert outcome.reason == DropReason.UNFIT_MODEL
    forced = label(LabelLatents(replace(labeller.config, force=True)), noise)
    assert (forced.arrays["label/flags/latent"] & LabelFlag.UNFAMILIAR).all()
    assert forced.provenance["lapa"]["failed_gates"]


def test_a_long_video_is_read_with_no_more_frames_in_memory_than_a_window_and_a_block(labeller: LabelLatents) -> None:
    model, held = labeller.model.network, []
    look = model.look
    short, long = (moving_episode(50, steps=steps).cameras["front"] for steps in (60, 600))
    try:
        model.look = lambda images: held.append(len(images)) or look(images)  # type: ignore[method-assign,func-returns-value]
        for frames in (short, long):
            later = np.arange(len(frames)) + 5
            later[-5:] = -1
            read = encode_video(model, frames, later, reading=Reading(block=20, threads=1), batch=64)
            assert len(read.latents.latent) == len(frames) - 5
    finally:
        model.look = look  # type: ignore[method-assign]
    assert max(held) <= 20
    assert sum(held) == 660, "each frame is looked at once"


def test_latents_of_a_once_a_frame_encoder_equal_those_of_its_pairs(fitted: tuple[LapaFit, Path]) -> None:
    from lapa.network.encoder import LapaEncoderConfig
    from lapa.network.model import LatentActionModel
    from lapa.testing import moving_clips

    torch.manual_seed(0)
    encoder = LapaEncoderConfig(conv_widths=(8, 16), width=16, heads=2, second_input="later")
    model = LatentActionModel(replace(fitted[0].model.config, encoder=encoder)).eval()
    clip = moving_clips(range(1))[0]
    images = model.look(torch.from_numpy(clip.frames_of(range(40))))
    direct = model.encoder(images[:35], images[5:]).detach().flatten(1).numpy()
    model.quantizer.train()
    model.quantise(torch.randn(64, 2, 4))
    assert np.allclose(encode_clip(model.eval(), clip, batch=6).latent, direct, atol=1e-5)


def test_a_turn_of_the_head_that_curation_saw_has_no_label_or_a_flag_as_asked(fitted: tuple[LapaFit, Path]) -> None:
    episode = moving_episode(50)
    turned = np.arange(episode.length) < 20
    arrays = {
        "label/motion": np.column_stack([0.4 * turned, 0.5 * ~turned]).astype(np.float32),
        "label/valid/camera_motion": np.ones(episode.length, bool),
    }
    for choice, labelled in (("unlabel", False), ("flag", True)):
        config = LapaLabelConfig(model=str(fitted[1]), windows_s={"so_arm": 0.25}, camera_motion=choice)  # type: ignore[arg-type]
        found = label(LabelLatents(config), replace(episode, arrays=arrays)).arrays
        assert (found["label/flags/latent"][:15] & LabelFlag.CAMERA_MOTION).all()
        assert (found["label/valid/latent"][:15] == labelled).all()
        assert not (found["label/flags/latent"][20:] & LabelFlag.CAMERA_MOTION).any()
