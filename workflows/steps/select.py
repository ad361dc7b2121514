"""`select`: which episodes are kept, from the verdicts that the data set holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.verdicts.selection import SelectionPolicy
from workflows.datasets.selecting import select_episodes
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep


@dataclass(frozen=True, kw_only=True)
class SelectStep:
    """The selection `name` by the verdicts of `judges` (all that the data set has, where none is named), under
    `thresholds` in place of their own; `labels` are sidecars that readers join with it, such as new captions."""

    name: str = "good"
    judges: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def run_select(context: RunContext, step: SelectStep) -> str:
    """Make the selection; no frame is looked at."""
    policy = SelectionPolicy(judges=step.judges, thresholds=step.thresholds, labels=step.labels)
    chosen = select_episodes(context.root, step.name, policy)
    reasons = ", ".join(f"{judge} {count}" for judge, count in chosen.reasons().items()) or "none"
    silent = f"; {len(chosen.unjudged)} unjudged: neither kept nor rejected" if chosen.unjudged else ""
    return (
        f"selection {chosen.name!r}: {len(chosen.episodes)} kept, {len(chosen.rejected)} rejected ({reasons}){silent}"
    )


STEP = PlainStep(config=SelectStep, work=run_select)
