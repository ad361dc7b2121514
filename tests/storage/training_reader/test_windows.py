"""The training reader against the plainest possible one: episodes in memory, one window at a time."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError
from storage.testing import tiny_dataset, tiny_episode, write_unit
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Batch, Windows, as_it_is


def dataset_of(root: Path, *units: list[Episode]) -> Dataset:
    Dataset.create(root, name=root.name)
    for episodes in units:
        write_unit(root, episodes)
    return Dataset.open(root)


@pytest.fixture
def pandas_and_gr1(tmp_path: Path) -> list[Dataset]:
    """Two embodiments at two rates with different cameras."""
    pandas = tiny_dataset(tmp_path / "pandas", cameras=("front", "wrist"))
    gr1 = tiny_dataset(tmp_path / "gr1", cameras=("ego",), embodiment="gr1", rate_hz=10.0, seed=3, layer="real")
    return [pandas, gr1]


def every_window(windows: Windows) -> list[Batch]:
    return [windows[number] for number in range(len(windows))]


def frame(episode: Episode, camera: str, step: int) -> np.ndarray:
    return episode.cameras[camera].decode([min(max(step, 0), episode.length - 1)])[0]


def test_every_window_is_what_its_episode_holds(pandas_and_gr1: list[Dataset]) -> None:
    views = {"main": ("front", "ego"), "wrist": ("wrist",)}
    config = WindowConfig(cameras=views, observation_offsets_s=(-0.2, 0.0, 0.3), horizon_steps=5)
    windows = Windows([Source(dataset=dataset) for dataset in pandas_and_gr1], config)
    expected = [
        (number, episode, step)
        for number, dataset in enumerate(pandas_and_gr1)
        for episode in dataset.episodes()
        for step in range(episode.length)
    ]
    assert len(windows) == len(expected)
    for window, (source, episode, step) in zip(every_window(windows), expected, strict=True):
        embodiment = ["panda", "gr1"][source]
        assert (window["source"], window["step"], windows.embodiments[window["embodiment"]]) == (
            source,
            step,
            embodiment,
        )
        assert (window["rate_hz"], window["instruction"]) == (episode.rate_hz, episode.instruction)
        check_vectors(window, episode, step)
        for number, offset_s in enumerate(config.observation_offsets_s):
            at = step + round(offset_s * episode.rate_hz)
            for view, camera in (("main", ["front", "ego"][source]), ("wrist", ["wrist", ""][source])):
                assert window["image_mask"][view][number] == (bool(camera) and 0 <= at < episode.length)
                image = frame(episode, camera, at) if camera else 0
                assert np.array_equal(window["images"][view][number], np.broadcast_to(image, (32, 48, 3)))


def check_vectors(window: Batch, episode: Episode, step: int) -> None:
    state, action = episode.arrays["state"], episode.arrays["action/ground_truth"]
    size, there = action.shape[1], min(5, episode.length - step)
    assert window["state"][0, : state.shape[1]].tolist() == state[step].tolist()
    assert window["state_mask"][0].tolist() == [True] * state.shape[1] + [False] * (44 - state.shape[1])
    assert np.array_equal(window["action"][:there, :size], action[step : step + there])
    assert np.array_equal(window["action"][there:, :size], np.repeat(action[-1:], 5 - there, axis=0))
    assert window["action_mask"].sum() == there * size
    assert window["action_mask"][:there, :size].all()
    assert not window["action"][:, size:].any()


def test_a_batch_is_its_windows_in_the_order_asked_for(pandas_and_gr1: list[Dataset]) -> None:
    config = WindowConfig(cameras={"main": ("front", "ego")}, horizon_steps=4)
    windows = Windows([Source(dataset=dataset) for dataset in pandas_and_gr1], config, open_shards=1)
    numbers = np.random.default_rng(0).permutation(len(windows))[:40].tolist()
    batch = windows.__getitems__(numbers)
    for place, number in enumerate(numbers):
        assert same(windows[number], one_of(batch, place))


def one_of(batch: Batch, place: int) -> Batch:
    return {name: one_of(value, place) if isinstance(value, dict) else value[place] for name, value in batch.items()}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(np.array_equal(one, other))


def test_a_horizon_in_seconds_means_the_same_time_at_every_rate(tmp_path: Path) -> None:
    """The same movement recorded at 10 and at 30 Hz gives the same joint targets over one second."""
    datasets = []
    for rate_hz in (10.0, 30.0):
        time_s = np.arange(int(4 * rate_hz)) / rate_hz
        action = np.outer(time_s, np.arange(44)).astype(np.float32)
        episode = tiny_episode(length=len(time_s), rate_hz=rate_hz, embodiment="gr1", cameras=())
        episode = replace(episode, arrays={"action/ground_truth": action})
        datasets.append(dataset_of(tmp_path / str(rate_hz), [episode]))
    windows = Windows([Source(dataset=each) for each in datasets], WindowConfig(horizon_steps=8, horizon_s=1.0))
    slow, fast = windows[10], windows[40 + 30]
    np.testing.assert_allclose(slow["action"], fast["action"], atol=1e-4)
    np.testing.assert_allclose(slow["action"][:, 1], 1.0 + np.arange(8) / 8, atol=1e-4)
    assert slow["action_mask"].all()
    assert fast["action_mask"].all()
    last_half_second = windows[40 + 105]
    assert last_half_second["action_mask"][:, 0].tolist() == [True] * 4 + [False] * 4


def test_without_padding_no_window_reaches_beyond_its_episode(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    config = WindowConfig(
        cameras={"front": ("front",)},
        observation_offsets_s=(-0.1, 0.2),
        horizon_steps=4,
        pad_observations=False,
        pad_actions=False,
    )
    windows = Windows([Source(dataset=dataset)], config)
    assert len(windows) == sum(max(0, episode.length - 2 - 4) for episode in dataset.episodes())
    for window in every_window(windows):
        assert window["image_mask"]["front"].all()
        assert window["action_mask"].all()


def test_steps_that_are_invalid_are_no_present_steps_and_masked_in_chunks(tmp_path: Path) -> None:
    valid = np.ones(10, dtype=bool)
    valid[[0, 4, 5, 9]] = False
    whole = tiny_episode(1, length=10, cameras=(), arrays={"valid": np.ones(10, dtype=bool)})
    gaps = tiny_episode(2, length=10, cameras=(), arrays={"valid": valid})
    windows = Windows([Source(dataset=dataset_of(tmp_path / "data", [whole, gaps]))], WindowConfig(horizon_steps=3))
    found = every_window(windows)
    assert [int(window["step"]) for window in found] == [*range(10), 1, 2, 3, 6, 7, 8]
    for window in found[10:]:
        step = int(window["step"])
        expected = [at < 10 and bool(valid[at]) for at in range(step, step + 3)]
        assert window["action_mask"].all(axis=1).tolist() == expected


def test_a_resampled_step_is_masked_when_any_step_it_stands_on_is_invalid(tmp_path: Path) -> None:
    valid = np.ones(12, dtype=bool)
    valid[5] = False
    episode = tiny_episode(length=12, cameras=(), embodiment="gr1", arrays={"valid": valid})
    dataset = dataset_of(tmp_path / "data", [episode])
    windows = Windows([Source(dataset=dataset)], WindowConfig(horizon_steps=4, horizon_s=0.4))
    assert windows[0]["action_mask"][:, 0].tolist() == [True, True, False, True]


@pytest.mark.parametrize("horizon_s", [None, 0.4])
def test_labels_that_could_not_be_given_do_not_spread(tmp_path: Path, horizon_s: float | None) -> None:
    valid = np.arange(12) != 5
    latent = np.where(valid[:, None], 3.0, np.nan).astype(np.float32)
    arrays = {"action/latent": latent, "label/valid/latent": valid}
    dataset = dataset_of(tmp_path / "data", [tiny_episode(length=12, cameras=(), arrays=arrays)])
    config = WindowConfig(horizon_steps=4, horizon_s=horizon_s)
    windows = Windows([Source(dataset=dataset, action="action/latent")], config)
    for window in every_window(windows):
        assert np.isfinite(window["action"]).all()
        assert (window["action"][window["action_mask"]] == 3.0).all()


def test_labels_are_drawn_where_the_labeller_was_sure(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1, length=6, cameras=())
    (unit_id,) = dataset.units()
    sure = np.array([True, True, False, True, True, False])
    labels = [
        replace(
            episode,
            arrays={"action/latent": np.full((6, 3), 2.0, dtype=np.float32), "label/valid/latent": sure},
        )
        for episode in dataset.episodes()
    ]
    write_unit(dataset.root, labels, unit_id=unit_id, sink="labels/lapa")
    joined = Dataset.open(dataset.root, labels=("lapa",))
    windows = Windows([Source(dataset=joined, action="action/latent", head="latent")], WindowConfig(horizon_steps=2))
    assert [int(window["step"]) for window in every_window(windows)] == [0, 1, 3, 4] * 3
    assert windows.embodiments == ("latent",)
    assert windows[1]["action_mask"].tolist() == [[True] * 3, [False] * 3]


def test_a_source_may_choose_layers_embodiments_and_episodes(tmp_path: Path) -> None:
    episodes = [tiny_episode(seed, length=4, layer=layer) for seed, layer in enumerate(("real", "simulation", "real"))]
    dataset = dataset_of(tmp_path / "data", episodes, [tiny_episode(9, length=4, embodiment="gr1", layer="real")])
    config = WindowConfig(horizon_steps=2)

    def count(**chosen: Any) -> int:
        return len(Windows([Source(dataset=dataset, **chosen)], config))

    assert count() == 16
    assert count(layers=("real",)) == 12
    assert count(layers=("real",), embodiments=("panda",)) == 8
    assert count(episodes=frozenset({episodes[1].episode_id})) == 4


def test_people_without_state_or_action_fill_a_batch_with_robots(tmp_path: Path) -> None:
    people = tiny_dataset(tmp_path / "people", embodiment="human", layer="human", units=1, cameras=("ego",))
    robots = tiny_dataset(tmp_path / "robots", units=1, seed=5)
    windows = Windows(
        [Source(dataset=people, action=""), Source(dataset=robots)], WindowConfig(cameras={"main": ("ego", "front")})
    )
    batch = windows.__getitems__([0, len(windows) - 1])
    assert batch["state_mask"].any(axis=(1, 2)).tolist() == [False, True]
    assert batch["action_mask"].any(axis=(1, 2)).tolist() == [False, True]
    assert batch["image_mask"]["main"].all()


def test_further_fields_are_given_at_the_present_step(tmp_path: Path) -> None:
    boxes = np.random.default_rng(0).random((12, 5), dtype=np.float32)
    with_boxes = dataset_of(tmp_path / "with", [tiny_episode(1, arrays={"label/box": boxes})])
    without = dataset_of(tmp_path / "without", [tiny_episode(2)])
    windows = Windows([Source(dataset=with_boxes), Source(dataset=without)], WindowConfig(fields=("label/box",)))
    batch = windows.__getitems__([3, 14])
    assert batch["fields"]["label/box"].tolist() == [boxes[3].tolist(), [0] * 5]
    assert batch["field_mask"]["label/box"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("codec", "interpolation"), [("jpeg", cv2.INTER_AREA), ("depth", cv2.INTER_NEAREST), ("mask", cv2.INTER_NEAREST)]
)
def test_frames_are_resized_when_that_is_asked_for(tmp_path: Path, codec: str, interpolation: int) -> None:
    episode = tiny_episode(length=3, codec=codec)
    dataset = dataset_of(tmp_path / "data", [episode])
    windows = Windows([Source(dataset=dataset)], WindowConfig(cameras={"front": ("front",)}, size_px=(16, 20)))
    expected = cv2.resize(frame(episode, "front", 1), (20, 16), interpolation=interpolation)
    assert np.array_equal(windows[1]["images"]["front"][0], expected)


def test_a_frame_that_does_not_decode_is_named(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=1)
    path = dataset.sink.shard(dataset.units()[0]) / "video/front/c.0.0.0.0"
    path.write_bytes(b"\0" * 50 + path.read_bytes()[50:])
    windows = Windows([Source(dataset=dataset)], WindowConfig(cameras={"front": ("front",)}))
    with pytest.raises(CorruptFileError, match=r"c\.0\.0\.0\.0, frame 0: .*`pyramid data verify` finds more"):
        windows[0]


def test_windows_can_be_sent_to_another_process(tmp_path: Path) -> None:
    config = WindowConfig(cameras={"front": ("front",)})
    windows = Windows([Source(dataset=tiny_dataset(tmp_path / "data"))], config)
    assert same(windows[5], pickle.loads(pickle.dumps(windows))[5])


def test_a_loader_with_workers_gives_what_the_reader_gives(tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    windows = Windows([Source(dataset=tiny_dataset(tmp_path / "data"))], WindowConfig(cameras={"front": ("front",)}))
    batches = [[3, 9, 27], [50, 1, 2], [11, 12, 40]]
    loader = data.DataLoader(windows, batch_sampler=batches, collate_fn=as_it_is, num_workers=2)
    assert all(same(given, windows.__getitems__(batch)) for given, batch in zip(loader, batches, strict=True))


def test_the_episode_of_a_window_is_known(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    windows = Windows([Source(dataset=dataset)], WindowConfig())
    first = next(dataset.episodes())
    assert windows.episode_id(windows.__getitems__([first.length - 1, 0]), 0) == first.episode_id


@pytest.mark.parametrize("number", [-1, 63])
def test_a_window_that_is_not_there_is_an_index_error(tmp_path: Path, number: int) -> None:
    windows = Windows([Source(dataset=tiny_dataset(tmp_path / "data"))], WindowConfig())
    assert len(windows) == 63
    with pytest.raises(IndexError, match=r"windows are numbered 0\.\.62"):
        windows[number]


def test_sources_that_do_not_fit_are_told(tmp_path: Path, pandas_and_gr1: list[Dataset]) -> None:
    pandas, _ = pandas_and_gr1
    large = dataset_of(tmp_path / "large", [tiny_episode(1, size_px=(64, 64))])
    with pytest.raises(ConfigError, match=r"frames of different kinds: .*front 48x32 jpeg.*; choose a size_px"):
        Windows([Source(dataset=pandas), Source(dataset=large)], WindowConfig(cameras={"main": ("front",)}))
    with pytest.raises(ConfigError, match=r"no episode has a camera for view 'main': .*there are \['front', 'wrist'\]"):
        Windows([Source(dataset=pandas)], WindowConfig(cameras={"main": ("ego",)}))
    with pytest.raises(ConfigError, match=r"has no window: none of its 6 episodes has action/latent"):
        Windows([Source(dataset=pandas, action="action/latent")], WindowConfig())
    with pytest.raises(ConfigError, match="none of its 6 episodes is long enough"):
        Windows([Source(dataset=pandas)], WindowConfig(horizon_steps=99, pad_actions=False))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"horizon_steps": 0}, "at least one step"),
        ({"horizon_s": 0.0}, "above 0 s"),
        ({"cameras": {"main": "front"}}, "a tuple of camera names"),
        ({"observation_offsets_s": ()}, "at least one time each"),
        ({"fields": ("instruction",)}, "is a record"),
        ({"size_px": (0, 5)}, "in pixels"),
    ],
)
def test_settings_that_cannot_work_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        WindowConfig(**settings)


def test_a_window_carries_the_instruction_of_its_own_step(tmp_path: Path) -> None:
    runs = [[0, "open the drawer"], [5, "close it"]]
    provenance = {"imported": {"annotations": {"task_index": runs}}}
    episode = tiny_episode(0, length=12, instruction="open the drawer", provenance=provenance)
    dataset = dataset_of(tmp_path / "two", [episode, tiny_episode(1, length=12)])
    windows = Windows([Source(dataset=dataset)], WindowConfig(horizon_steps=1))
    told = {
        (int(batch["episode"][()]), int(batch["step"][()])): batch["instruction"] for batch in every_window(windows)
    }
    row = [each.episode_id for each in dataset.episodes()].index(episode.episode_id)
    for (number, step), text in told.items():
        expected = ("open the drawer" if step < 5 else "close it") if number == row else "put the disc on the table"
        assert text == expected
