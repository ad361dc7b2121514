from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engines.fused_stages import segments_of, with_gpus
from pipelines.engines.gpu_share import share_of
from pipelines.job import PlannedStage
from pipelines.stage import Process, Resources, Stage
from storage.errors import ConfigError

STAGE = st.tuples(st.sampled_from(["any", "simulation", "torch"]), st.sampled_from([0.0, 0.5]), st.sampled_from([0, 1]))


@given(st.lists(STAGE, min_size=1, max_size=8))
def test_segments_cover_every_stage_once_and_in_order(stages: list[tuple[Process, float, int]]) -> None:
    segments = segments_of(_chain(*stages))
    assert (segments[0].first, segments[-1].end) == (0, len(stages))
    assert all(one.end == other.first for one, other in pairwise(segments))


@given(st.lists(STAGE, min_size=1, max_size=8))
def test_a_simulator_and_torch_never_share_a_segment(stages: list[tuple[Process, float, int]]) -> None:
    for segment in segments_of(_chain(*stages)):
        kinds = {process for process, _, _ in stages[segment.first : segment.end]}
        assert kinds - {"any"} <= {segment.process}


def test_what_can_share_a_process_does() -> None:
    chain = _chain(("any", 0, 1), ("simulation", 0, 1), ("any", 0, 1), ("torch", 0.5, 1), ("any", 0, 1))
    assert [(each.first, each.end, each.process) for each in segments_of(chain)] == [
        (0, 3, "simulation"),
        (3, 4, "torch"),
        (4, 5, "any"),
    ]


def test_a_stage_without_work_of_its_own_joins_what_follows() -> None:
    (segment,) = segments_of(_chain(("any", 0, 0), ("torch", 0.5, 1)))
    assert (segment.process, segment.resources.gpus, segment.resources.cpus) == ("torch", 0.5, 1)


def test_a_segment_needs_what_its_hungriest_stage_needs() -> None:
    chain = (
        _stage("any", Resources(cpus=1, memory_gb=8)),
        _stage("any", Resources(cpus=4, memory_gb=2)),
    )
    assert segments_of(chain)[0].resources == Resources(cpus=4, memory_gb=8)


def test_pools_that_do_not_fit_on_the_cards_together_share_a_process() -> None:
    segments = segments_of(_chain(("torch", 0.75, 1), ("any", 0, 1), ("torch", 0.75, 1), ("any", 0, 1)))
    assert with_gpus(segments, shares=(0.75, 0.75), gpus=2) == segments
    short = with_gpus(segments, shares=(0.75, 0.75), gpus=1)
    assert [(each.first, each.end) for each in short] == [(0, 3), (3, 4)]
    with pytest.raises(ConfigError, match="run them as two jobs"):
        with_gpus(segments_of(_chain(("torch", 1, 1), ("simulation", 1, 1))), shares=(1, 1), gpus=1)


@pytest.mark.parametrize(
    ("wanted_gb", "card_gb", "share"), [(40, 80, 0.5), (80, 80, 1.0), (1, 80, 0.02), (27, 80, 0.34)]
)
def test_gigabytes_become_a_share_that_is_never_too_small(wanted_gb: float, card_gb: float, share: float) -> None:
    assert share_of(wanted_gb, card_gb) == share
    assert share_of(wanted_gb, card_gb) * card_gb >= wanted_gb


def test_more_than_a_card_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs 81 GB of GPU memory; the smallest card here has 80 GB"):
        share_of(81, 80)


def _chain(*stages: tuple[Process, float, int]) -> tuple[PlannedStage, ...]:
    return tuple(_stage(process, Resources(gpus=gpus, cpus=cpus)) for process, gpus, cpus in stages)


def _stage(process: Process, resources: Resources) -> PlannedStage:
    row = Stage(call="a:b", config="a:c", process=process, resources=resources)
    return PlannedStage(name="stage", row=row, settings={})
