"""`pyramid report`: one self-contained HTML page about a data set, without any network."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from storage.atomic_files import read_json, write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.merged_statistics import merged_statistics
from storage.datasets.unit_paths import sinks_of
from storage.embodiment import Layout
from storage.episode import Episode
from workflows.report.clips import clip_data_uri
from workflows.report.collect import ReportContents, collect
from workflows.report.config import ReportConfig
from workflows.report.plots import episode_plots, pyramid
from workflows.report.roll_outs import roll_outs_of
from workflows.report.verdicts import judged, verdict_lines
from workflows.steps.stand_in import JOB_PREFIX, stand_ins

SEARCHABLE_EPISODES = 2000
TRAINING_READ_FILE = "training_read.json"


def write_report(root: Path, config: ReportConfig | None = None) -> Path:
    """Write the page for the data set in `root` and return its path (`report.html` in the data set by default)."""
    config = config or ReportConfig()
    dataset = Dataset.open(root)
    labels = tuple(sink.name.removeprefix("labels/") for sink in sinks_of(root) if sink.is_labels)
    joined = Dataset.open(root, labels=labels, selection=config.selection)
    page = _template().render(r=_page(joined, collect(joined), config))
    target = Path(config.output) if config.output else dataset.root / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page.encode())
    return target


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(Path(__file__).with_name("page.html").read_text())


def _page(dataset: Dataset, contents: ReportContents, config: ReportConfig) -> dict[str, Any]:
    about = read_json(dataset.root / "dataset.json")
    hours: dict[str, float] = defaultdict(float)
    for row in contents.composition:
        hours[row.layer] += row.hours
    searchable = _provenance(dataset)
    stand_in = {each["id"] for each in searchable if each["job"].startswith(JOB_PREFIX)}
    gallery = [
        {**_card(dataset, episode), "stand_in": episode.episode_id in stand_in}
        for episode in _spread(dataset, config.gallery)
    ]
    training = dataset.root / TRAINING_READ_FILE
    return {
        "name": dataset.name,
        "schema_version": about["schema_version"],
        "created_by": about["created_by"],
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "headline": _headline(dataset, contents, sum(hours.values())),
        "pyramid_svg": pyramid(hours),
        "composition": contents.composition,
        "stand_ins": stand_ins(dataset.root),
        "gallery": gallery,
        "episode_count": len(dataset),
        "tasks": contents.tasks,
        "rejects": contents.rejects,
        "passed_over": contents.passed_over,
        "dead_letters": contents.dead_letters,
        "labels": contents.labels,
        "judged": judged(dataset.root),
        "stages": contents.stages,
        "training_read": read_json(training) if training.exists() else None,
        "statistics": list(_statistics(dataset)),
        "roll_outs": roll_outs_of(dataset.root),
        "provenance_json": _script_safe(searchable),
        "provenance_left_out": max(0, len(dataset) - len(searchable)),
    }


def _headline(dataset: Dataset, contents: ReportContents, hours: float) -> list[dict[str, str]]:
    numbers = {
        "episodes": f"{len(dataset):,}",
        "frames": f"{dataset.steps:,}",
        "hours": f"{hours:.3g}",
        "MB": f"{contents.bytes / 1e6:,.1f}",
        "shards": f"{len(dataset.units()):,}",
        "rejected": f"{sum(row.count for row in contents.rejects):,}",
    }
    return [{"label": label, "value": value} for label, value in numbers.items()]


def _spread(dataset: Dataset, count: int) -> Iterator[Episode]:
    """`count` episodes, as evenly as possible over layers, embodiments and instructions, in a fixed order."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    table = dataset.index.table
    keys = ("layer", "embodiment", "instruction")
    for key, episode_id, wanted in zip(
        zip(*(table[name].to_pylist() for name in keys), strict=True),
        table["episode_id"].to_pylist(),
        dataset.selected_rows(),
        strict=True,
    ):
        if wanted:
            groups[key].append(episode_id)
    queues = [ids for _, ids in sorted(groups.items())]
    turns = max((len(ids) for ids in queues), default=0)
    order = [ids[turn] for turn in range(turns) for ids in queues if turn < len(ids)]
    yield from (dataset.episode(episode_id) for episode_id in order[:count])


def _card(dataset: Dataset, episode: Episode) -> dict[str, Any]:
    embodiment = dataset.embodiments.get(episode.embodiment)
    layouts = (embodiment.state, embodiment.action) if embodiment else (Layout(), Layout())
    clips = [
        {"camera": camera, "source": clip_data_uri(frames, rate_hz=episode.rate_hz)}
        for camera, frames in sorted(episode.cameras.items())
    ]
    return {
        "episode_id": episode.episode_id,
        "layer": episode.layer,
        "embodiment": episode.embodiment,
        "length": episode.length,
        "rate": f"{episode.rate_hz:g}",
        "instruction": episode.instruction,
        "original_instruction": episode.original_instruction,
        "verdicts": verdict_lines(episode),
        "clips": clips,
        "plots": episode_plots(episode, state=layouts[0], action=layouts[1]),
        "provenance": json.dumps(_plain(episode.provenance), indent=2),
    }


def _provenance(dataset: Dataset) -> list[Mapping[str, Any]]:
    sources: list[Mapping[str, Any]] = []
    for manifest in dataset.manifests():
        for record in manifest.episodes:
            about = {name: record[name] for name in ("layer", "embodiment", "instruction", "provenance")}
            sources.append({"id": record["episode_id"], "job": manifest.job, **about})
            if len(sources) == SEARCHABLE_EPISODES:
                return sources
    return sources


def _script_safe(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(_plain(value)).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _statistics(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Merged statistics by embodiment and field, a row for each number, named after the layout."""
    everything = merged_statistics(dataset)
    for embodiment, field_name in ((embodiment, name) for embodiment, fields in everything.items() for name in fields):
        merged = everything[embodiment][field_name]
        names = _names(dataset, embodiment, field_name, len(merged.mean))
        columns = zip(merged.mean, merged.std, merged.min, merged.q01, merged.q99, merged.max, strict=True)
        rows = [
            {"name": name, "numbers": numbers, "constant": bool(constant)}
            for name, numbers, constant in zip(names, columns, merged.constant, strict=True)
        ]
        yield {"embodiment": embodiment, "field": field_name, "count": merged.count, "rows": rows}


def _names(dataset: Dataset, embodiment: str, field_name: str, width: int) -> list[str]:
    declared = dataset.embodiments.get(embodiment)
    if declared:
        layout = declared.state if field_name == "state" else declared.action
        names = [f"{part.name}[{place}]" for part in layout.parts for place in range(part.size)]
        if len(names) == width:
            return names
    return [f"[{place}]" for place in range(width)]
