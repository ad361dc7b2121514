"""The labelling stage: frame order, bad input, several cameras, grids, rates."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from groot.checkpoint import ModelCard
from groot.normalise import Normaliser
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.label import LabelActions, Labeller, pose_jumps
from idm.labelling.label_config import IdmLabelConfig
from idm.labelling.predict_clip import WindowPredictions
from idm.labelling.saved_model import IdmModel, load_idm, save_idm
from idm.labelling.uncertainty import Calibration
from idm.network.model import Idm
from idm.presets import preset
from idm.testing import PLACED, PUSHED, world_episode
from storage.embodiment import Embodiment, Layout, Part, register
from storage.episode import Episode
from storage.errors import ConfigError, InputError, UnknownNameError
from storage.frames import Frames
from storage.ids import Randomness
from storage.labelling.labels import DropReason, LabelFlag
from storage.outcomes import Dropped, Kept
from storage.pictures.read_ahead import Reading

COUNTER = register(
    Embodiment(
        name="test_counter",
        description="for tests: the action at step t is (t, 2 t)",
        action=Layout(parts=(Part(name="count", size=2, quantity="latent", unit="1"),)),
    )
)


MOVER = register(
    Embodiment(
        name="test_mover",
        description="for tests: deltas of a position",
        action=Layout(parts=(Part(name="delta", size=3, quantity="position_delta", unit="m"),)),
    )
)


def numbered_episode(steps: int, *, cameras: Sequence[str] = ("front",), episode_id: str = "numbered") -> Episode:
    """A clip whose frames carry their number in their pixels, without loss."""
    images = []
    for step in range(steps):
        # Every frame is another patchwork: nothing stands still, and no shift turns one into the other.
        patches = np.random.default_rng(step).integers(60, 200, (8, 8, 3), dtype=np.uint8)
        image = patches.repeat(4, axis=0).repeat(4, axis=1)
        image[:4, :4] = (step % 256, step // 256, 7)
        images.append(image)
    return Episode(
        episode_id=episode_id,
        layer="neural",
        embodiment=COUNTER.name,
        length=steps,
        rate_hz=10.0,
        cameras={camera: Frames.encode(images, "lossless") for camera in cameras},
    )


def predictions_of(chunk: NDArray[Any]) -> WindowPredictions:
    """Predictions of which only the motion matters."""
    zero = np.zeros_like(chunk)
    return WindowPredictions(
        motion=chunk[None],
        scale=zero + 0.1,
        switch=zero,
        moved=zero[:, 0],
        anchor=zero[:, 0],
        pose=zero[:, 0],
        pooled=zero[:, 0],
        hidden=np.full(len(chunk), -9.0),
    )


class PerfectNetwork:
    """Reads the number of a frame from its pixels, slowly and unevenly, and knows every action."""

    def __init__(self, steps: int = 2) -> None:
        self.steps, self.frames_encoded = steps, 0
        self.lock = threading.Lock()

    def encode(self, images: NDArray[np.uint8]) -> tuple[torch.Tensor, ...]:
        time.sleep(float(np.random.default_rng().uniform(0, 0.002)))
        with self.lock:
            self.frames_encoded += len(images)
        corner = images.reshape(-1, 32, 32, 3)[:, 0, 0].astype(np.int64)
        return (torch.from_numpy(corner[:, 0] + 256 * corner[:, 1])[:, None].double(),)

    def predict(self, now: Any, later: Any, *, slot: int, views: int) -> WindowPredictions:
        number = now[0][::views, 0].numpy()
        assert (later[0][::views, 0].numpy() - number == 2).all(), "the later frame is two steps ahead"
        truth = number[:, None, None] + np.arange(self.steps)[None, :, None]
        chunk = np.concatenate([truth, 2 * truth], axis=2)
        return predictions_of(chunk)


def plain_targets(embodiment: Embodiment, steps: int, *, switch: Sequence[int] = ()) -> EmbodimentTargets:
    size = embodiment.action.size
    none = np.zeros(size, bool)
    switches = none.copy()
    switches[list(switch)] = True
    return EmbodimentTargets(
        embodiment=embodiment,
        absolute=np.array([part.quantity == "joint" for part, span in embodiment.action for _ in range(part.size)]),
        switch=switches,
        constant=none,
        low=-np.ones(size),
        high=np.ones(size),
        motion=Normaliser(offset=np.zeros((steps, size)), scale=np.ones((steps, size))),
        anchor=Normaliser(offset=np.zeros(size), scale=np.ones(size)),
    )


def tiny_idm(*embodiments: Embodiment, views: tuple[str, ...] = ("front",), cameras: Any = None) -> IdmModel:
    torch.manual_seed(0)
    sizes = tuple(embodiment.action.size for embodiment in embodiments)
    config = replace(preset("tiny"), views=views, action_sizes=sizes)
    targets = {
        embodiment.name: plain_targets(embodiment, config.chunk_steps, switch=(2,) if embodiment is PUSHED else ())
        for embodiment in embodiments
    }
    return IdmModel(
        network=Idm(config).eval(),
        config=config,
        targets=targets,
        cameras=cameras or {view: (view,) for view in views},
    )


def saved(folder: Path, model: IdmModel) -> str:
    save_idm(folder, model, ModelCard(kind="idm", preset="tiny", config={}))
    return str(folder)


def stage(folder: Path, model: IdmModel, **settings: Any) -> LabelActions:
    return LabelActions(IdmLabelConfig(model=saved(folder, model), device="cpu", **settings))


def only(stage: LabelActions, episode: Episode) -> Any:
    ((outcome,),) = stage([episode], Randomness(0, "idm_label"))
    return outcome


@pytest.mark.parametrize("steps", [3, 64, 65, 300])
def test_a_perfect_labeller_keeps_every_step_in_order(steps: int) -> None:
    network = PerfectNetwork()
    labeller = Labeller(tiny_idm(COUNTER), network=network, reading=Reading(block=16, threads=16, ahead=4))
    labels = labeller.label(numbered_episode(steps), COUNTER.name)
    truth = np.arange(steps)[:, None] * np.array([[1.0, 2.0]])
    assert labels.valid.tolist() == [True] * (steps - 1) + [False]
    np.testing.assert_array_equal(labels.action[:-1], truth[:-1])
    assert network.frames_encoded == steps, "each frame is encoded once"


def test_sixteen_threads_sharing_one_labeller_change_nothing() -> None:
    labeller = Labeller(tiny_idm(COUNTER), network=PerfectNetwork(), reading=Reading(block=8, threads=16))
    clips = [numbered_episode(40 + 7 * n, episode_id=f"clip-{n}") for n in range(32)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        results = list(pool.map(lambda clip: labeller.label(clip, COUNTER.name), clips))
    for clip, labels in zip(clips, results, strict=True):
        truth = np.arange(clip.length)[:, None] * np.array([[1.0, 2.0]])
        np.testing.assert_array_equal(labels.action[:-1], truth[:-1])


def test_blocks_of_any_size_give_the_same_labels() -> None:
    model = tiny_idm(PUSHED)
    episode = world_episode(3, PUSHED, length=37)
    one, other = (
        Labeller(model, reading=Reading(block=block, threads=threads)).label(episode, PUSHED.name)
        for block, threads in ((64, 1), (5, 3))
    )
    np.testing.assert_allclose(one.action, other.action, atol=1e-4)
    np.testing.assert_array_equal(one.flags, other.flags)


def test_features_are_let_go_when_no_window_needs_them_any_more() -> None:
    class Watched(PerfectNetwork):
        most = 0

        def predict(self, now: Any, later: Any, *, slot: int, views: int) -> WindowPredictions:
            self.most = max(self.most, now[0].untyped_storage().nbytes(), later[0].untyped_storage().nbytes())
            return super().predict(now, later, slot=slot, views=views)

    kept = []
    for steps in (60, 600):
        network = Watched()
        labeller = Labeller(tiny_idm(COUNTER), network=network, reading=Reading(block=16, threads=2))
        labeller.label(numbered_episode(steps), COUNTER.name)
        kept.append(network.most)
    row_bytes = 8
    assert kept[0] == kept[1] <= (16 + 2) * row_bytes


def test_steps_behind_a_cover_are_flagged_and_unlabelled_unless_asked_for() -> None:
    class Covered(PerfectNetwork):
        def predict(self, now: Any, later: Any, *, slot: int, views: int) -> WindowPredictions:
            predicted = super().predict(now, later, slot=slot, views=views)
            number = now[0][::views, 0].numpy()
            return predicted._replace(hidden=np.where((number >= 10) & (number < 20), 9.0, -9.0))

    clip = numbered_episode(40)
    labels = Labeller(tiny_idm(COUNTER), network=Covered()).label(clip, COUNTER.name)
    assert np.flatnonzero(labels.flags & LabelFlag.COVERED).tolist() == list(range(10, 20))
    # Step 10 is also in the chunk of the window that starts at 9, which was seen.
    assert np.flatnonzero(~labels.valid).tolist() == [*range(11, 20), 39]
    flagged = Labeller(tiny_idm(COUNTER), network=Covered(), unlabels=LabelFlag(0)).label(clip, COUNTER.name)
    assert np.flatnonzero(flagged.flags & LabelFlag.COVERED).tolist() == list(range(10, 20))
    assert np.flatnonzero(~flagged.valid).tolist() == [39]


def test_windows_over_a_jump_of_the_pose_are_flagged_as_over_a_cut() -> None:
    model = tiny_idm(COUNTER)
    unit = Normaliser(offset=np.zeros(2), scale=np.ones(2))
    targets = replace(model.targets[COUNTER.name], state=unit, moved=unit)
    model = replace(model, targets={COUNTER.name: targets})
    labeller, clip = Labeller(model, network=PerfectNetwork()), numbered_episode(40)
    prediction = labeller.predict(clip, COUNTER.name)
    pose = np.cumsum(np.full((len(prediction.windows), 2), 0.1), axis=0)
    pose[prediction.windows.now >= 20] += 3.0
    prediction = replace(prediction, predictions=prediction.predictions._replace(pose=pose))
    calm = replace(model.calibration(COUNTER.name), jump=5.0)
    strict = replace(calm, jump=1.0)
    for calibration, expected in ((calm, []), (strict, [18, 19])):
        labels = labeller.labels_of(clip, COUNTER.name, prediction, calibration)
        assert np.flatnonzero(labels.flags & LabelFlag.CUT).tolist() == expected
    jumps = pose_jumps(prediction, targets)
    assert np.flatnonzero(jumps > 1.0).tolist() == [20]
    np.testing.assert_allclose(pose_jumps(prediction, targets, steps_a_frame=4.0), jumps / 4)
    np.testing.assert_allclose(pose_jumps(prediction, targets, steps_a_frame=0.5), jumps)
    assert Calibration.from_json(strict.to_json()).jump == 1.0
    assert Calibration.from_json(model.calibration(COUNTER.name).to_json()).jump == float("inf")


def test_the_stage_adds_labels_with_confidence_interval_and_flags(tmp_path: Path) -> None:
    labeller = stage(tmp_path, tiny_idm(PUSHED, PLACED))
    outcome = only(labeller, world_episode(1, PUSHED))
    assert isinstance(outcome, Kept)
    arrays = outcome.episode.arrays
    assert arrays["action/predicted"].shape == (40, 3)
    assert arrays["label/confidence/predicted"].shape == (40, 2), "one confidence a part of the action"
    assert arrays["label/interval/predicted"].shape == (40, 3)
    valid = arrays["label/valid/predicted"]
    assert valid.sum() == 39
    assert (arrays["label/flags/predicted"][~valid] & LabelFlag.UNLABELLED).all()
    assert np.isnan(arrays["action/predicted"][~valid]).all()
    assert np.isfinite(arrays["action/predicted"][valid]).all()
    assert not arrays["label/confidence/predicted"][~valid].any()
    made = outcome.episode.provenance["idm"]
    assert made["model"] == labeller.model.content_hash
    assert set(np.unique(arrays["action/predicted"][valid][:, 2])) <= {-1.0, 1.0}, "a switch has two values"


def test_labelling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (stage(tmp_path, tiny_idm(PUSHED)) for _ in range(2))
    one, other = (only(labeller, world_episode(1, PUSHED)).episode for labeller in (first, second))
    for name in one.arrays:
        assert one.arrays[name].tobytes() == other.arrays[name].tobytes()


def test_a_clip_shorter_than_a_window_is_dropped_with_its_reason(tmp_path: Path) -> None:
    outcome = only(stage(tmp_path, tiny_idm(PUSHED)), world_episode(1, PUSHED, length=2))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == DropReason.TOO_SHORT


def test_a_missing_camera_is_named(tmp_path: Path) -> None:
    model = tiny_idm(PUSHED, views=("front", "wrist"))
    outcome = only(stage(tmp_path, model), world_episode(1, PUSHED))
    assert isinstance(outcome, Dropped)
    assert (outcome.reason, outcome.detail["views"]) == (DropReason.MISSING_CAMERA, ["wrist"])


def test_an_unknown_body_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    labeller = stage(tmp_path, tiny_idm(PUSHED))
    with pytest.raises(UnknownNameError, match="test_pushed"):
        only(labeller, world_episode(1, PLACED))
    with pytest.raises(UnknownNameError, match="test_pushed"):
        stage(tmp_path / "b", tiny_idm(PUSHED), head="test_pusher")


def with_frames(episode: Episode, change: Any) -> Episode:
    images = change(episode.cameras["front"].decode().copy())
    return replace(episode, cameras={"front": Frames.encode(list(images), "lossless")})


def test_black_frames_get_no_label() -> None:
    def blacken(images: np.ndarray) -> np.ndarray:
        images[10:20] = 3
        return images

    labels = Labeller(tiny_idm(PUSHED)).label(with_frames(world_episode(1, PUSHED), blacken), PUSHED.name)
    assert np.flatnonzero(labels.flags & LabelFlag.DARK).tolist() == list(range(10, 20))
    assert not labels.valid[10:20].any()
    assert labels.valid[:8].all()
    assert labels.valid[22:-1].all()


def test_frozen_frames_get_no_label_and_a_robot_that_pauses_does() -> None:
    def freeze(images: np.ndarray) -> np.ndarray:
        images[10:22] = images[10]
        images[30:33] = images[30]
        return images

    labels = Labeller(tiny_idm(PUSHED), freeze_s=0.5).label(with_frames(world_episode(1, PUSHED), freeze), PUSHED.name)
    assert np.flatnonzero(labels.flags & LabelFlag.FROZEN).tolist() == list(range(10, 22))
    assert not labels.valid[10:22].any()
    assert labels.valid[28:38].all()


def test_a_clip_without_a_visible_window_is_dropped(tmp_path: Path) -> None:
    def blacken(images: np.ndarray) -> np.ndarray:
        return images * 0

    outcome = only(stage(tmp_path, tiny_idm(PUSHED)), with_frames(world_episode(1, PUSHED), blacken))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == DropReason.NOTHING_LABELLED
    assert outcome.detail["masked"]["dark"] == 1.0


def test_why_steps_have_no_label_is_told(tmp_path: Path) -> None:
    def darken_and_freeze(images: np.ndarray) -> np.ndarray:
        images[10:14] = 3
        images[20:32] = images[20]
        return images

    outcome = only(stage(tmp_path, tiny_idm(PUSHED)), with_frames(world_episode(1, PUSHED), darken_and_freeze))
    assert isinstance(outcome, Kept)
    episode = outcome.episode
    masked = episode.provenance["idm"]["masked"]
    assert masked["labelled"] == episode.arrays["label/valid/predicted"].mean()
    assert (masked["dark"], masked["frozen"], masked["covered"]) == (4 / 40, 12 / 40, 0.0)
    assert masked["no window"] > 0
    assert sum(masked.values()) == pytest.approx(1)


def test_a_variable_frame_rate_marks_the_gap() -> None:
    episode = world_episode(1, PUSHED)
    stamps = np.arange(40) / 10.0
    stamps[20:] += 2.0
    episode = replace(episode, arrays={"timestamp": stamps})
    labels = Labeller(tiny_idm(PUSHED)).label(episode, PUSHED.name)
    assert not labels.valid[19]
    assert labels.valid[:18].all()


def test_another_rate_is_flagged_and_a_hopeless_one_dropped(tmp_path: Path) -> None:
    model = tiny_idm(PUSHED)
    fast = Labeller(model).label(replace(world_episode(1, PUSHED), rate_hz=13.0), PUSHED.name)
    assert (fast.flags & LabelFlag.STRETCHED).all()
    outcome = only(stage(tmp_path, model), replace(world_episode(1, PUSHED), rate_hz=1.0))
    assert isinstance(outcome, Dropped)


def test_a_twice_as_fast_video_gives_half_of_the_deltas() -> None:
    class Steady(PerfectNetwork):
        def predict(self, now: Any, later: Any, *, slot: int, views: int) -> WindowPredictions:
            count = len(now[0])
            return predictions_of(np.ones((count, 4, 3)))

    model = tiny_idm(MOVER)
    model = replace(
        model,
        config=replace(model.config, chunk_steps=4, chunk_s=0.4),
        targets={MOVER.name: plain_targets(MOVER, 4)},
    )
    episode = replace(numbered_episode(40), embodiment=MOVER.name, rate_hz=20.0)
    labels = Labeller(model, network=Steady(4)).label(episode, MOVER.name)
    np.testing.assert_allclose(labels.action[labels.valid], 0.5)


def test_a_grid_of_four_pictures_is_split_into_views() -> None:
    model = tiny_idm(
        PUSHED, views=("left", "wrist"), cameras={"left": ("grid:top_left",), "wrist": ("grid:bottom_left",)}
    )
    left, wrist = world_episode(1, PUSHED), world_episode(2, PUSHED)
    pictures = [episode.cameras["front"].decode() for episode in (left, wrist)]
    black = np.zeros_like(pictures[0])
    grid = np.concatenate(
        [np.concatenate([pictures[0], black], axis=2), np.concatenate([pictures[1], black], axis=2)], axis=1
    )
    whole = replace(left, cameras={"grid": Frames.encode(list(grid), "lossless")})
    apart = replace(
        left,
        cameras={"a": Frames.encode(list(pictures[0]), "lossless"), "b": Frames.encode(list(pictures[1]), "lossless")},
    )
    separate = replace(model, cameras={"left": ("a",), "wrist": ("b",)})
    np.testing.assert_array_equal(
        Labeller(model).label(whole, PUSHED.name).action, Labeller(separate).label(apart, PUSHED.name).action
    )
    with pytest.raises(ConfigError, match="quarter of a grid"):
        Labeller(replace(model, cameras={"left": ("grid:upper",), "wrist": ("grid:top_left",)}))


def test_pickles_and_other_presets_are_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="Pickled checkpoints are refused"):
        LabelActions(IdmLabelConfig(model=str(tmp_path / "model.pt")))
    saved(tmp_path / "model", tiny_idm(PUSHED))
    with pytest.raises(ConfigError, match="preset 'starter'"):
        load_idm(tmp_path / "model", preset="starter")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="must name the folder"):
        IdmLabelConfig(model="")
    with pytest.raises(ConfigError, match="least_valid_share"):
        IdmLabelConfig(model="m", least_valid_share=2.0)


def test_cameras_may_be_called_otherwise_than_in_training(tmp_path: Path) -> None:
    episode = world_episode(1, PUSHED)
    renamed = replace(episode, cameras={"video": episode.cameras["front"]})
    model = tiny_idm(PUSHED)
    usual = only(stage(tmp_path / "a", model), episode)
    other = only(stage(tmp_path / "b", model, cameras={"front": ("video",)}), renamed)
    np.testing.assert_array_equal(usual.episode.arrays["action/predicted"], other.episode.arrays["action/predicted"])
    with pytest.raises(UnknownNameError, match="view of this model"):
        stage(tmp_path / "c", model, cameras={"fornt": ("video",)})
