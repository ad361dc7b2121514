"""A job: what is asked for (`Job`), and what was settled when it was planned (`PlannedJob`)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipelines.former_names import current_name
from pipelines.stage import Stage, StageCall
from storage.datasets.plan import check_job_name
from storage.datasets.unit_paths import SHARDS, Sink
from storage.embodiment import Embodiment
from storage.errors import ConfigError
from storage.ids import canonical_json

DATASET = "@dataset"
"""In a setting: the folder of the data set that the job writes into, wherever it lies when the job runs."""


@dataclass(frozen=True, kw_only=True)
class UnitItems:
    """The items of one unit to be. `inputs` maps what they come from to the hash of its content, so that changed
    content is other work. A unit of labels carries the id of the unit that it labels."""

    items: tuple[Mapping[str, Any], ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    unit_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Until:
    """Plan in rounds until `kept` episodes are kept; each round follows from the yield of those before it.

    `next_items` names a function `(counts: Counts, settings: Mapping) -> sequence of items` (see
    `pipelines.planning.plan_rounds`), which `settings` are for. The job fails when `most_items` were not enough.
    """

    kept: int
    items_per_unit: int = 16
    first_items: int = 0
    most_items: int = 0
    next_items: str = "pipelines.planning.plan_rounds:numbered_items"
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kept < 1 or self.items_per_unit < 1 or self.first_items < 0 or self.most_items < 0:
            raise ConfigError(f"until: kept and items_per_unit must be at least 1, the rest not negative; got {self}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How failures are treated; changing it changes no result.

    A unit is tried `attempts` times, the last time alone, before it becomes a dead letter. A job ends early when more
    than `max_failed_fraction` of its items failed. A unit that takes longer than `unit_timeout_s` is given up (Ray).
    """

    attempts: int = 3
    max_failed_fraction: float = 0.1
    unit_timeout_s: float = 4 * 3600.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.max_failed_fraction <= 1 or self.unit_timeout_s <= 0:
            raise ConfigError(f"attempts >= 1, max_failed_fraction within 0..1 and unit_timeout_s > 0; got {self}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Stages over units into a sink: `stages` is a list of (name in the catalog, settings), the first a source.

    Either `units` are given, or `until` says how many episodes are wanted. `provides` names the fields that the
    source will give where that depends on its input; it is what the check of reads goes by. `embodiments` are declared
    in the data set before anything runs.
    """

    name: str
    stages: tuple[tuple[str, Mapping[str, Any]], ...]
    units: tuple[UnitItems, ...] = ()
    until: Until | None = None
    sink: str = SHARDS
    seed: int = 0
    provides: frozenset[str] = frozenset()
    embodiments: tuple[Embodiment, ...] = ()
    policy: Policy = Policy()

    def __post_init__(self) -> None:
        check_job_name(self.name)
        Sink(Path(), self.sink)
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"job {self.name!r}: a seed is a whole number from 0 to 2^63 - 1; got {self.seed}")
        if bool(self.units) == bool(self.until):
            raise ConfigError(f"job {self.name!r} needs units or until, and not both; got {len(self.units)} units")


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """A stage of a planned job. `name` is unique in the job; `settings` are complete."""

    name: str
    row: Stage
    settings: Mapping[str, Any]

    def make(self, root: Path) -> StageCall:
        """The stage, ready to be called, for a data set in `root`."""
        return self.row.make(with_dataset(self.settings, root))


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job that was checked: everything that a worker needs, and all that resuming needs besides the plan.

    `inputs` are the hashes of the files that stages name (a model's weights), by stage, as they were at planning.
    """

    name: str
    stages: tuple[PlannedStage, ...]
    config_hash: str
    sink: str = SHARDS
    seed: int = 0
    until: Until | None = None
    policy: Policy = Policy()
    versions: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        stages = [{"name": each.name, "stage": each.row.to_json(), "settings": each.settings} for each in self.stages]
        plain = {name: getattr(self, name) for name in ("name", "config_hash", "sink", "seed", "number")}
        until = asdict(self.until) if self.until else None
        return {
            **plain,
            "stages": stages,
            "until": until,
            "policy": asdict(self.policy),
            "versions": dict(self.versions),
            "inputs": {name: dict(hashes) for name, hashes in self.inputs.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "PlannedJob":
        """The inverse of `to_json`."""
        stages = tuple(
            PlannedStage(name=each["name"], row=Stage.from_json(each["stage"]), settings=each["settings"])
            for each in record["stages"]
        )
        until = Until(**record["until"]) if record["until"] else None
        if until is not None:
            until = replace(until, next_items=current_name(until.next_items))
        return cls(**{**record, "stages": stages, "until": until, "policy": Policy(**record["policy"])})

    def same_work(self, other: "PlannedJob") -> bool:
        """Whether the other job would give the same episodes. How many are wanted in the end may differ: a job that is
        asked for more is the same job."""
        return self._work() == other._work()

    def _work(self) -> str:
        until = replace(self.until, kept=1, most_items=0) if self.until else None
        names = [stage.name for stage in self.stages]
        return canonical_json([self.name, self.config_hash, self.sink, self.seed, names, until])


def with_dataset(value: Any, root: Path) -> Any:
    """`value` with "@dataset" replaced by the data set's folder, inside mappings and lists too."""
    if isinstance(value, str) and (value == DATASET or value.startswith(f"{DATASET}/")):
        return str(root) + value.removeprefix(DATASET)
    if isinstance(value, Mapping):
        return {key: with_dataset(inner, root) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_dataset(inner, root) for inner in value]
    return value
