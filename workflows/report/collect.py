"""What the report says, read from a data set: its index, its manifests, its dead letters and its sidecars."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.plan_attempts import wilson_interval
from storage.datasets.dataset import Dataset
from storage.datasets.index import load_index
from storage.datasets.manifest import Manifest, read_manifests
from storage.datasets.unit_paths import Sink, sinks_of

GENERATING_STAGE = "multiply"


@dataclass(frozen=True, kw_only=True)
class Composition:
    """One row of the table of contents: what one layer holds of one embodiment."""

    layer: str
    embodiment: str
    episodes: int
    frames: int
    hours: float
    rates: str
    cameras: str
    labels: str


@dataclass(frozen=True, kw_only=True)
class TaskRate:
    """Success of the generator at one task, with the 95 % interval (Wilson) and the failures by cause."""

    name: str
    attempts: int
    kept: int
    rate: float
    low: float
    high: float
    causes: str


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """What one stage of one job cost, over all units."""

    job: str
    stage: str
    units: int = 0
    inputs: int = 0
    kept: int = 0
    dropped: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    megabytes: float = 0.0

    @property
    def rate(self) -> str:
        return f"{self.kept / self.cpu_s:.2f}" if self.cpu_s > 0.005 else "-"


@dataclass(frozen=True, kw_only=True)
class Reject:
    stage: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class LabelSummary:
    """One sidecar: which models labelled how much of it, why steps have no label, and what the labeller says against
    itself. `agreement` compares predicted with recorded actions where both exist."""

    name: str
    models: str
    episodes: int
    steps: int
    valid: float
    masked: str
    warnings: str
    agreement: str


@dataclass(frozen=True, kw_only=True)
class ReportContents:
    """Everything but pictures."""

    composition: list[Composition]
    tasks: list[TaskRate]
    stages: list[StageTime]
    rejects: list[Reject]
    passed_over: list[Reject] = field(default_factory=list)
    """Episodes that are kept and that a labeller or judge had nothing to say about."""
    labels: list[LabelSummary] = field(default_factory=list)
    dead_letters: int = 0
    bytes: int = 0


def collect(dataset: Dataset) -> ReportContents:
    """Read everything that the report's tables show."""
    sinks = sinks_of(dataset.root)
    data = [manifest for sink in sinks if not sink.is_labels for manifest in read_manifests(sink)]
    labelling = [manifest for sink in sinks if sink.is_labels for manifest in read_manifests(sink)]
    everything = [*data, *labelling]
    return ReportContents(
        composition=composition(dataset),
        tasks=task_rates(everything),
        stages=stage_times(everything),
        rejects=rejects(data),
        passed_over=rejects(labelling),
        labels=[label_summary(dataset, name) for name in _with_arrays(dataset)],
        dead_letters=sum(len(sink.dead()) for sink in sinks),
        bytes=sum(manifest.shard.bytes for manifest in everything if manifest.shard),
    )


def _with_arrays(dataset: Dataset) -> Iterator[str]:
    """The sidecars that hold labels of steps; what holds verdicts alone has a table of its own."""
    for sink in sinks_of(dataset.root):
        if sink.is_labels and any(layout.get("arrays") for layout in load_index(sink).layouts):
            yield sink.name


def composition(dataset: Dataset) -> list[Composition]:
    """Frames and hours by layer and embodiment, from the index alone."""
    index = dataset.index
    table = index.table
    layers, embodiments = table["layer"].to_pylist(), table["embodiment"].to_pylist()
    lengths, rates = index.numbers("length"), index.numbers("rate_hz")
    units = [index.units[code] for code in index.unit_of_row]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    wanted = dataset.selected_rows()
    for row, key in enumerate(zip(layers, embodiments, strict=True)):
        if wanted[row]:
            groups[key].append(row)
    rows_of_table = []
    for (layer, embodiment), rows in sorted(groups.items()):
        names = frozenset[str]().union(*(dataset.fields(unit) for unit in {units[row] for row in rows}))
        kinds = sorted(name.removeprefix("action/") for name in names if name.startswith("action/"))
        rows_of_table.append(
            Composition(
                layer=layer,
                embodiment=embodiment,
                episodes=len(rows),
                frames=int(lengths[rows].sum()),
                hours=float((lengths[rows] / rates[rows]).sum()) / 3600,
                rates=", ".join(f"{rate:g} Hz" for rate in sorted(set(rates[rows]))),
                cameras=", ".join(sorted(name.removeprefix("video/") for name in names if name.startswith("video/"))),
                labels=", ".join(kinds) or "none",
            )
        )
    return rows_of_table


def task_rates(manifests: Iterable[Manifest]) -> list[TaskRate]:
    """Attempts, successes and causes of failure of every task that was generated."""
    kept: Counter[str] = Counter()
    causes: dict[str, Counter[str]] = defaultdict(Counter)
    for manifest in _generated(manifests):
        for episode in manifest.episodes:
            if episode["provenance"].get("generation", {}).get("success", True):
                kept[_task_of(episode["provenance"])] += 1
        for drop in manifest.dropped:
            if "task" in drop.detail:
                causes[str(drop.detail["task"])][drop.reason] += 1
    return [_task_rate(name, kept[name], causes[name]) for name in sorted(kept.keys() | causes.keys())]


def _generated(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    return (each for each in manifests if any(stage.name == GENERATING_STAGE for stage in each.stages))


def _task_of(provenance: Mapping[str, Any]) -> str:
    return str(provenance.get("generation", {}).get("task", "unknown"))


def _task_rate(name: str, kept: int, causes: Counter[str]) -> TaskRate:
    attempts = kept + causes.total()
    low, high = wilson_interval(kept, attempts)
    listing = ", ".join(f"{reason} {count}" for reason, count in causes.most_common()) or "none failed"
    rate = kept / attempts
    return TaskRate(name=name, attempts=attempts, kept=kept, rate=rate, low=low, high=high, causes=listing)


def stage_times(manifests: Iterable[Manifest]) -> list[StageTime]:
    """Seconds, counts and bytes of every stage, added up over the units of a job."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in manifests:
        for stage in manifest.stages:
            total = sums.setdefault((manifest.job, stage.name), defaultdict(int))
            counts = {"units": 1, "inputs": stage.inputs, "kept": stage.kept, "dropped": sum(stage.dropped.values())}
            costs = {"wall_s": stage.wall_s, "cpu_s": stage.cpu_s, "megabytes": stage.bytes / 1e6}
            for name, amount in {**counts, **costs}.items():
                total[name] += amount
    return [StageTime(job=job, stage=stage, **total) for (job, stage), total in sums.items()]


def rejects(manifests: Iterable[Manifest]) -> list[Reject]:
    """How many inputs each stage dropped, by reason, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for manifest in manifests:
        for stage in manifest.stages:
            counts.update({(stage.name, reason): count for reason, count in stage.dropped.items()})
    return [Reject(stage=stage, reason=reason, count=count) for (stage, reason), count in counts.most_common()]


def label_summary(dataset: Dataset, sink_name: str) -> LabelSummary:
    """How much of the data set one sidecar labels, by which model, and how well it agrees with recorded actions."""
    name = sink_name.removeprefix("labels/")
    joined = Dataset.open(dataset.root, labels=(name,))
    added = [record for each in read_manifests(Sink(dataset.root, sink_name)) for record in each.episodes]
    notes = [note for record in added for note in record["provenance"].values() if isinstance(note, Mapping)]
    steps = valid = episodes = 0
    truth: list[NDArray[np.float32]] = []
    error: list[NDArray[np.float32]] = []
    for episode in (joined.episode(str(record["episode_id"])) for record in added):
        masks = [array for key, array in episode.arrays.items() if key.startswith("label/valid/")]
        sure = np.logical_and.reduce(masks) if masks else np.ones(episode.length, bool)
        steps, valid, episodes = steps + episode.length, valid + int(sure.sum()), episodes + bool(sure.any())
        if {"action/ground_truth", "action/predicted"} <= episode.arrays.keys() and sure.any():
            recorded = episode.arrays["action/ground_truth"][sure]
            truth.append(recorded - recorded.mean(axis=0))
            error.append(episode.arrays["action/predicted"][sure] - recorded)
    return LabelSummary(
        name=name,
        models=_listed(f"{note.get('preset', '')} {str(note['model'])[:12]}" for note in notes if "model" in note),
        episodes=episodes,
        steps=steps,
        valid=valid / steps if steps else 0.0,
        masked=_masked(notes),
        warnings=_listed(gate for note in notes for gate in note.get("failed_gates", ())),
        agreement=_agreement(truth, error),
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted({text.strip() for text in texts}))


def _masked(notes: Sequence[Mapping[str, Any]]) -> str:
    """Mean share of the steps of an episode that have no label, by reason."""
    shares = [note["masked"] for note in notes if "masked" in note]
    reasons = sorted({reason for each in shares for reason in each} - {"valid", "labelled"})
    means = {reason: sum(each.get(reason, 0.0) for each in shares) / len(shares) for reason in reasons}
    return ", ".join(f"{reason} {100 * mean:.1f} %" for reason, mean in means.items() if mean > 0)


def _agreement(truth: list[NDArray[np.float32]], error: list[NDArray[np.float32]]) -> str:
    """Share of the actions' variance that the labels explain, for each embodiment width on its own."""
    texts = []
    for width in sorted({array.shape[1] for array in truth}):
        spread = np.concatenate([array for array in truth if array.shape[1] == width])
        missed = np.concatenate([array for array in error if array.shape[1] == width])
        moving = spread.std(axis=0) > 1e-4
        r2 = 1 - (missed[:, moving] ** 2).sum(axis=0) / (spread[:, moving] ** 2).sum(axis=0)
        texts.append(f"R² {np.median(r2):.2f} (median of {int(moving.sum())} moving dimensions)")
    return "; ".join(texts)
