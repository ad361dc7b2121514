"""`select`: which episodes are kept, from the verdicts that the data set holds."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError, WorkFailedError
from storage.verdicts.selection import Selection, SelectionPolicy
from workflows.datasets.selecting import select_episodes
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep


@dataclass(frozen=True, kw_only=True)
class SelectStep:
    """The selection `name` by the verdicts of `judges` (all that the data set has, where none is named), under
    `thresholds` in place of their own; `labels` are sidecars that readers join with it, such as new captions. A layer
    of which nothing is kept ends the run; with `empty: keep` it is only named."""

    name: str = "good"
    judges: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    empty: Literal["refuse", "keep"] = "refuse"

    def __post_init__(self) -> None:
        if self.empty not in ("refuse", "keep"):
            raise ConfigError(f'empty, for a layer of which nothing is kept, is "refuse" or "keep"; got {self.empty!r}')


def run_select(context: RunContext, step: SelectStep) -> str:
    """Make the selection; no frame is looked at. Raises WorkFailedError for an empty layer, after it is written."""
    policy = SelectionPolicy(judges=step.judges, thresholds=step.thresholds, labels=step.labels)
    chosen = select_episodes(context.root, step.name, policy)
    reasons = ", ".join(f"{judge} {count}" for judge, count in chosen.reasons().items()) or "none"
    line = f"selection {chosen.name!r}: {len(chosen.episodes)} kept, {len(chosen.rejected)} rejected ({reasons})"
    if chosen.unjudged:
        line += f", {len(chosen.unjudged)} unjudged: neither kept nor rejected"
    empty = "; ".join(_empty_layers(context, chosen))
    if empty and step.empty == "refuse":
        raise WorkFailedError(
            f"{line}; nothing is left of {empty}. Move a bar by `thresholds: {{JUDGE: NUMBER}}`, bring other episodes"
            " in, or go on without them by `empty: keep`"
        )
    return f"{line}; nothing is left of {empty}" if empty else line


def _empty_layers(context: RunContext, chosen: Selection) -> Iterator[str]:
    """A text for each layer that has episodes of which none is kept: how many, and why."""
    table = Dataset.open(context.root).index.table
    layer_of = dict(zip(table["episode_id"].to_pylist(), table["layer"].to_pylist(), strict=True))
    kept = {layer_of[name] for name in chosen.episodes}
    for layer, count in sorted(Counter(layer_of.values()).items()):
        if layer not in kept:
            mine = [told for name, told in chosen.rejected.items() if layer_of.get(name) == layer]
            by = Counter(reason.split(":")[0] for told in mine for reason in told)
            by["unjudged"] = sum(layer_of.get(name) == layer for name in chosen.unjudged)
            said = ", ".join(f"{judge} {number}" for judge, number in by.most_common() if number)
            yield f"layer {layer} ({count} episodes: {said})"


STEP = PlainStep(config=SelectStep, work=run_select)
