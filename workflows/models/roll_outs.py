"""Closed-loop success of a policy: roll-outs in fixed scenes as a job, counted with an interval, shown on a page."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from generators.simulation.rollouts.roll_out_config import RollOutConfig
from generators.simulation.task.registry import find_task
from pipelines.engines.options import EngineOptions
from pipelines.job import DATASET, Job, UnitItems
from pipelines.run_job import run_job
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.embodiment import embodiment_named
from storage.errors import ConfigError, UnknownNameError, WorkFailedError
from storage.ids import content_id

FIGURES = "success.json"
ADDRESS_FILE = "policy_server"


@dataclass(frozen=True, kw_only=True)
class RollOutPlan:
    """`scenes` numbered scenes from `first_scene` on, `scenes_per_unit` to one unit of work."""

    task: str
    placement: str = "D0"
    scenes: int = 50
    first_scene: int = 0
    scenes_per_unit: int = 5
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.scenes, self.scenes_per_unit) < 1 or self.first_scene < 0:
            raise ConfigError(
                f"scenes and scenes_per_unit must be at least 1; got {self.scenes}, {self.scenes_per_unit}"
            )


def roll_out_job(plan: RollOutPlan, *, policy: str) -> Job:
    """The job: units of scenes for the policy called `policy`, whose server's address is in the data set's folder.
    Raises UnknownNameError for a task or a placement that is not there."""
    task = find_task(plan.task)
    if plan.placement not in task.placements:
        raise UnknownNameError.among(f"placement of {task.name}", plan.placement, task.placements)
    for other in plan.settings.get("also_check", ()):
        find_task(other)
    config = RollOutConfig(
        task=plan.task, placement=plan.placement, policy=policy, address=f"{DATASET}/{ADDRESS_FILE}", **plan.settings
    )
    numbers = range(plan.first_scene, plan.first_scene + plan.scenes)
    units = tuple(
        UnitItems(
            items=tuple({"scene": number} for number in numbers[start : start + plan.scenes_per_unit]),
            inputs=config.inputs(),
        )
        for start in range(0, plan.scenes, plan.scenes_per_unit)
    )
    scenes = (plan.first_scene, plan.scenes, plan.scenes_per_unit)
    return Job(
        name=f"roll-out-{task.name}-{content_id(_without_address(config), scenes)[:8]}",
        stages=(("roll_out", asdict(config)),),
        units=units,
        embodiments=(embodiment_named(task.embodiment.name),),
    )


def roll_out(root: Path, plan: RollOutPlan, *, policy: str, address: str, options: EngineOptions) -> dict[str, Any]:
    """Run the roll-outs into the data set in `root` and return the figures, which are also written there.

    Raises WorkFailedError where a scene could not be tried: a success rate counts every scene that was asked for.
    """
    job = roll_out_job(plan, policy=policy)
    Dataset.create_or_open(root, name=root.name)
    write_whole(root / ADDRESS_FILE, address.encode())
    result = run_job(root, job, options=options)
    if result.dead_letters:
        raise WorkFailedError(
            f"{len(result.dead_letters)} units of roll-outs failed for good; their causes are in {root}/failed"
        )
    figures = success_figures(root, plan, policy)
    if figures["scenes"] + sum(result.tally.dropped.values()) < plan.scenes:
        raise WorkFailedError(f"expected {plan.scenes} roll-outs; {root} holds {figures['scenes']}")
    path = root / FIGURES
    write_whole(path, json_bytes(figures))
    return figures


def _without_address(config: RollOutConfig) -> dict[str, Any]:
    return {name: value for name, value in asdict(config).items() if name != "address"}


def success_figures(root: Path, plan: RollOutPlan, policy: str) -> dict[str, Any]:
    """Successes among the scenes of `plan`, with the 95 % interval of Wilson (1927); broken scenes count as failed."""
    numbers = set(range(plan.first_scene, plan.first_scene + plan.scenes))
    done: dict[int, bool] = {}
    also: Counter[str] = Counter()
    for manifest in Dataset.open(root).manifests():
        for record in manifest.episodes:
            about = record["provenance"].get("generation", {})
            mine = (about.get("policy"), about.get("task"), about.get("placement"))
            if mine == (policy, find_task(plan.task).name, plan.placement) and about["scene"] in numbers:
                done[about["scene"]] = about["success"]
                also.update(name for name, reached in about["also"].items() if reached)
    return {
        "task": plan.task,
        "placement": plan.placement,
        "policy": policy,
        "scenes": len(done),
        **rate(sum(done.values()), plan.scenes),
        "also_reached": dict(also),
        "failed_scenes": sorted(number for number, reached in done.items() if not reached),
    }


def rate(successes: int, tries: int) -> dict[str, Any]:
    """Success rate with its interval."""
    from scipy.stats import binomtest

    interval = binomtest(successes, tries).proportion_ci(confidence_level=0.95, method="wilson")
    return {
        "successes": successes,
        "success": successes / tries,
        "interval": [round(float(interval.low), 3), round(float(interval.high), 3)],
    }
