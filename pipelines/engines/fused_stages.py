"""Which stages share a process: all that follow one another, unless one needs a GPU and the next does not, or one runs
a simulator and the next torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.job import PlannedStage
from pipelines.stage import Process, Resources
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Stages [first, end) of a job, and what one process for them needs."""

    first: int
    end: int
    process: Process
    resources: Resources

    @property
    def needs_gpu(self) -> bool:
        return self.resources.gpus > 0 or self.resources.gpu_memory_gb > 0


def segments_of(stages: Sequence[PlannedStage]) -> tuple[Segment, ...]:
    """The segments of a job, in order. A stage with `cpus=0` does no work to speak of and joins what follows."""
    segments: list[Segment] = []
    for place, stage in enumerate(stages):
        alone = Segment(first=place, end=place + 1, process=stage.row.process, resources=stage.row.resources)
        if segments and _fit(segments[-1], alone):
            segments[-1] = _joined(segments[-1], alone)
        else:
            segments.append(alone)
    return tuple(segments)


def with_gpus(segments: Sequence[Segment], *, shares: Sequence[float], gpus: float) -> tuple[Segment, ...]:
    """The segments as they can run on `gpus` cards, of which each needs its share for as long as the job runs.

    Where the cards are too few for all of them at once, everything between the first and the last that needs one shares
    a process; raises ConfigError where that cannot be.
    """
    places = [place for place, segment in enumerate(segments) if segment.needs_gpu]
    if sum(shares) <= gpus or len(places) < 2:
        return tuple(segments)
    joined = segments[places[0]]
    for other in segments[places[0] + 1 : places[-1] + 1]:
        if len({joined.process, other.process} - {"any"}) > 1:
            raise ConfigError(
                f"the stages of this job need {sum(shares):g} GPUs at once, and there are {gpus:g}; a simulator and"
                " torch do not share a process, so run them as two jobs"
            )
        joined = _joined(joined, other)
    return (*segments[: places[0]], joined, *segments[places[-1] + 1 :])


def _fit(one: Segment, other: Segment) -> bool:
    kinds = {one.process, other.process} - {"any"}
    idle = one.resources.cpus == 0 and not one.needs_gpu
    return len(kinds) <= 1 and (one.needs_gpu == other.needs_gpu or idle)


def _joined(one: Segment, other: Segment) -> Segment:
    mine, its = one.resources, other.resources
    return Segment(
        first=one.first,
        end=other.end,
        process=other.process if one.process == "any" else one.process,
        resources=Resources(
            cpus=max(mine.cpus, its.cpus),
            gpus=max(mine.gpus, its.gpus),
            gpu_memory_gb=max(mine.gpu_memory_gb, its.gpu_memory_gb),
            memory_gb=max(mine.memory_gb, its.memory_gb),
        ),
    )
