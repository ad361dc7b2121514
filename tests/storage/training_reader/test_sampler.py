from pathlib import Path

import numpy as np
import pytest

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.testing import tiny_dataset
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.run_order import RUN_WINDOWS, RUNS_AT_ONCE, run_order
from storage.training_reader.sampler import BLOCK, SamplerState, WindowSampler
from storage.training_reader.windows import Windows, as_it_is


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    return [
        tiny_dataset(tmp_path / str(seed), seed=seed, units=1, length=7 + 9 * seed, cameras=()) for seed in range(3)
    ]


@pytest.fixture
def windows(datasets: list[Dataset]) -> Windows:
    return Windows([Source(dataset=dataset) for dataset in datasets], WindowConfig())


def mixture(datasets: list[Dataset], *weights: float) -> Windows:
    names = ("first", "second", "third")
    sources = zip(datasets, weights, names, strict=True)
    return Windows([Source(dataset=data, weight=weight, name=name) for data, weight, name in sources], WindowConfig())


def test_an_epoch_holds_every_window_once(windows: Windows) -> None:
    sampler = WindowSampler(windows, batch_size=5)
    drawn = [number for batch in sampler for number in batch]
    assert sorted(drawn[: len(windows)]) == list(range(len(windows)))
    assert len(drawn) == 5 * sampler.steps_per_epoch
    assert drawn[: len(windows)] != sorted(drawn[: len(windows)])


def test_each_epoch_has_an_order_of_its_own_and_each_seed_too(windows: Windows) -> None:
    sampler = WindowSampler(windows, batch_size=len(windows))
    orders = [tuple(sampler.batch(epoch)) for epoch in range(5)]
    orders += [tuple(WindowSampler(windows, batch_size=len(windows), seed=seed).batch(0)) for seed in range(1, 5)]
    assert len(set(orders)) == 9
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(len(windows)))}


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 5.0)])
def test_a_run_that_is_resumed_in_the_middle_goes_on_as_if_nothing_had_happened(
    datasets: list[Dataset], weights: tuple[float, ...] | None
) -> None:
    windows = mixture(datasets, *weights) if weights else Windows([Source(dataset=datasets[0])], WindowConfig())

    def run(sampler: WindowSampler, epochs: int) -> list[list[int]]:
        return [batch for _ in range(epochs) for batch in sampler]

    undisturbed = run(WindowSampler(windows, batch_size=4, seed=3), 3)
    for used in (0, 1, 7, len(undisturbed) // 3, len(undisturbed) - 1):
        saved = WindowSampler(windows, batch_size=4, seed=3).state_at(used).to_json()
        resumed = WindowSampler(windows, batch_size=4)
        resumed.seek(SamplerState.from_json(saved))
        assert run(resumed, 3)[: len(undisturbed) - used] == undisturbed[used:]


def test_a_loader_resumes_in_the_middle_with_another_number_of_workers(windows: Windows) -> None:
    data = pytest.importorskip("torch.utils.data")

    def drawn(sampler: WindowSampler, workers: int) -> list[list[tuple[int, int, int]]]:
        loader = data.DataLoader(windows, batch_sampler=sampler, collate_fn=as_it_is, num_workers=workers)
        return [
            list(zip(*(batch[name].tolist() for name in ("source", "episode", "step")), strict=True))
            for batch in loader
        ]

    first = WindowSampler(windows, batch_size=16)
    undisturbed = drawn(first, 2)
    resumed = WindowSampler(windows, batch_size=16)
    resumed.seek(first.state_at(3))
    assert drawn(resumed, 1) == undisturbed[3:]
    resumed.seek(first.state_at(5))
    assert drawn(resumed, 0) == undisturbed[5:]


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_one_stream(windows: Windows, processes: int) -> None:
    samplers = [
        WindowSampler(windows, batch_size=8 // processes, process=process, processes=processes)
        for process in range(processes)
    ]
    together = [number for step in range(10) for sampler in samplers for number in sampler.batch(step)]
    alone = WindowSampler(windows, batch_size=8)
    assert together == [number for step in range(10) for number in alone.batch(step)]


def test_sources_come_as_often_as_their_weights_say(datasets: list[Dataset]) -> None:
    windows = mixture(datasets, 1.0, 2.0, 5.0)
    for block in range(3):
        drawn = WindowSampler(windows, batch_size=BLOCK).batch(block)
        counts = np.bincount(np.searchsorted(windows.table.source_ends(), drawn, side="right"))
        assert counts.tolist() == [512, 1024, 2560]


def test_weights_hold_in_any_stretch_of_the_stream(datasets: list[Dataset]) -> None:
    windows = mixture(datasets, 1.0, 1.0, 2.0)
    sampler = WindowSampler(windows, batch_size=256)
    for step in range(40):
        source = np.searchsorted(windows.table.source_ends(), sampler.batch(step), side="right")
        assert abs((source == 2).mean() - 0.5) < 0.16


def test_a_source_of_a_mixture_goes_through_all_its_windows_before_it_repeats_one(datasets: list[Dataset]) -> None:
    windows = mixture(datasets, 0.3, 0.5, 0.2)
    first_window, ends = 0, windows.table.source_ends()
    drawn = np.asarray(WindowSampler(windows, batch_size=2 * BLOCK).batch(0))
    for end in ends:
        mine = drawn[(drawn >= first_window) & (drawn < end)]
        seen = np.bincount(mine - first_window, minlength=end - first_window)
        assert seen.max() - seen.min() <= 1
        first_window = end


def test_the_order_within_a_source_does_not_depend_on_the_other_sources(datasets: list[Dataset]) -> None:
    three = np.asarray(WindowSampler(mixture(datasets, 1.0, 1.0, 2.0), batch_size=BLOCK).batch(0))
    windows = Windows(
        [Source(dataset=datasets[0], weight=1.0, name="first"), Source(dataset=datasets[1], weight=3.0, name="second")],
        WindowConfig(),
    )
    two = np.asarray(WindowSampler(windows, batch_size=BLOCK).batch(0))
    end = windows.table.source_ends()[0]
    one, other = np.sort(three[three < end]), np.sort(two[two < end])
    assert len(one) == len(other) == BLOCK // 4
    assert one.tolist() == other.tolist()


def test_a_tiny_weight_still_gets_its_turn(datasets: list[Dataset]) -> None:
    windows = mixture(datasets, 1e-6, 1.0, 1.0)
    drawn = np.asarray(WindowSampler(windows, batch_size=BLOCK).batch(0))
    assert (drawn < windows.table.source_ends()[0]).sum() == 1


def test_a_state_of_other_windows_is_refused(datasets: list[Dataset], windows: Windows) -> None:
    other = Windows([Source(dataset=datasets[0])], WindowConfig())
    with pytest.raises(ConfigError, match="have changed since it was saved"):
        WindowSampler(other, batch_size=2).seek(WindowSampler(windows, batch_size=2).state_at(1))


def test_some_weights_without_the_others_are_refused(datasets: list[Dataset]) -> None:
    windows = Windows([Source(dataset=datasets[0], weight=1.0), Source(dataset=datasets[1])], WindowConfig())
    with pytest.raises(ConfigError, match="every source a weight and a name of its own, or none"):
        WindowSampler(windows, batch_size=2)


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": 2, "process": 2, "processes": 2}])
def test_settings_that_cannot_work_are_told(windows: Windows, settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="batch_size >= 1 and 0 <= process < processes"):
        WindowSampler(windows, **settings)


def test_an_order_in_runs_holds_every_place_once_and_few_runs_at_a_time() -> None:
    windows = 20 * RUN_WINDOWS * RUNS_AT_ONCE + 77
    places = np.arange(windows, dtype=np.int64)
    order = run_order(places, windows, key=5)
    assert np.array_equal(np.sort(order), places)
    assert not np.array_equal(order, run_order(places, windows, key=6))
    some = np.random.default_rng(0).permutation(windows)[:1000]
    assert np.array_equal(run_order(some, windows, key=5), order[some])
    pool = RUN_WINDOWS * RUNS_AT_ONCE
    assert all(
        len(np.unique(order[at : at + pool] // RUN_WINDOWS)) <= 2 * RUNS_AT_ONCE for at in range(0, windows, pool)
    )
    batches = [len(np.unique(order[at : at + 32] // RUN_WINDOWS)) for at in range(0, pool, 32)]
    assert np.mean(batches) > 10, "a batch still comes from many places"
