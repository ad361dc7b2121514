"""Whether source demonstrations pass the checks that every attempt made from them will have to pass."""

from dataclasses import dataclass

from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.task.constraints import Graph


@dataclass(frozen=True, kw_only=True)
class BrokenCheck:
    """A check that does not hold where a subtask of a demonstration may end: `steps` of the `ends` that its
    termination offset allows."""

    demonstration: str
    arm: str
    subtask: str
    check: str
    steps: tuple[int, ...]
    ends: int

    @property
    def always(self) -> bool:
        """Whether it holds at none of the possible ends, so that no attempt can follow this demonstration."""
        return len(self.steps) == self.ends

    @property
    def text(self) -> str:
        where = f"step {self.steps[0]}" if len(self.steps) == 1 else f"steps {self.steps[0]} to {self.steps[-1]}"
        share = "" if self.always else f" ({len(self.steps)} of the {self.ends} ends that termination_offset allows)"
        return (
            f"{self.demonstration}: the check {self.check!r} of {self.arm}.{self.subtask} does not hold at {where},"
            f" where the subtask ends{share}: correct the check, the termination signal or its offset, or drop the"
            " demonstration"
        )


def broken_checks(graph: Graph, source: SourceDemonstration) -> list[BrokenCheck]:
    """The checks of `source` that do not hold at every end its subtasks may have. Checks of signals that the source
    does not hold (annotations from elsewhere) are passed over."""
    broken_so_far = []
    for group in graph.groups:
        low, high = graph.subtask(group[0]).termination_offset
        for arm, index in group:
            subtask, end = graph.subtask((arm, index)), source.ends[arm][index]
            if subtask.check is None or subtask.check not in source.signals:
                continue
            held = source.signals[subtask.check]
            ends = sorted({min(max(end + offset, 1), source.length) for offset in range(low, high + 1)})
            broken = tuple(step for step in ends if not held[step])
            if broken:
                broken_so_far.append(
                    BrokenCheck(
                        demonstration=source.name,
                        arm=arm,
                        subtask=subtask.name,
                        check=subtask.check,
                        steps=broken,
                        ends=len(ends),
                    )
                )
    return broken_so_far
