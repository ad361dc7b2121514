"""The filter job: clips in; the good ones as a selection, reasons for the rest and true captions out.

Steps, each a job that resumes like any other: import (a folder of videos), rules, the model's verdicts on what the
rules let pass, new captions for what the model refuses, and the selection.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from judges.vision_language.config import ModelConfig
from pipelines.config import config_from
from pipelines.job import Policy
from pipelines.run_job import run_job
from storage.atomic_files import write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import read_manifests
from storage.datasets.unit_paths import Sink, sinks_of
from storage.errors import ConfigError, WorkFailedError
from storage.formats.import_item import ImportConfig, VideoOptions
from storage.formats.import_stage import list_items
from storage.verdicts.selection import Selection, SelectionPolicy
from workflows.datasets.selecting import select_episodes, selection_text
from workflows.recipes.run_context import RunContext
from workflows.report.verdicts import saved_calls
from workflows.steps.import_data import ImportStep, import_job, imported
from workflows.steps.judge import JudgeStep, judge_job, judged

REJECTS = "rejects.jsonl"
Rejects = list[dict[str, Any]]
"""Clips that are not kept: their names and the reasons."""
LONGEST_S = 120.0
UNITS = 16


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """What is filtered and how. `source` is a folder of videos with captions, or a data set.

    `model` is "" for rules alone, "starter", a folder of weights, or "NAME@URL" for a model on an OpenAI-compatible
    server. Videos longer than `longest_s` are named among the rejects and not read. `policy` makes the selection
    `name`; `settings` go to the model's stage.
    """

    source: Path
    model: str = ""
    name: str = "good"
    recaption: bool = True
    policy: SelectionPolicy = field(default_factory=SelectionPolicy)
    longest_s: float = LONGEST_S
    captions_in_names: bool = False
    captions_file: str = ""
    caption_key: str = ""
    embodiment: str = ""
    layer: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.longest_s > 0:
            raise ConfigError(f"longest_s is above 0; got {self.longest_s}")

    def model_settings(self) -> dict[str, Any]:
        """The settings of the stages that ask the model."""
        name, _, url = self.model.partition("@")
        server = {"server": {"url": url, **self.settings.get("server", {})}} if url else {}
        return {"model": name, **{key: value for key, value in self.settings.items() if key != "server"}, **server}


def run_filter(context: RunContext, config: FilterConfig) -> Iterator[str]:
    """Run the job; gives one line for people after each step. Raises WorkFailedError where clips stay unjudged, and
    UnfitModelError before anything starts for a model that fails its own gates."""
    if config.model:
        config_from(ModelConfig, config.model_settings()).check_gates()
    too_long: Rejects = []
    names: dict[str, str] = {}
    if not (config.source / "dataset.json").is_file():
        too_long, names = yield from _import(context, config)
    elif config.source.resolve() != context.root.resolve():
        raise ConfigError(
            f"{config.source} is a data set: verdicts are added to it where it lies, so leave out --output (or copy it"
            f" first); got --output {context.root}"
        )
    steps = [JudgeStep(kind="rules")]
    if config.model:
        steps.append(JudgeStep(kind="model", settings=config.model_settings()))
    if config.model and config.recaption:
        steps.append(JudgeStep(kind="recaption", settings={"model": config.model_settings()}))
    for step in steps:
        yield judged(step, run_job(context.root, judge_job(context, step), context.options))
    labels = ("recaption",) if _holds(context.root, "recaption") else ()
    policy = SelectionPolicy(**{**asdict(config.policy), "labels": (*config.policy.labels, *labels)})
    selection = select_episodes(context.root, config.name, policy)
    write_rejects(context.root, selection, too_long, names)
    yield saved(context.root)
    yield selection_text(selection)
    yield f"reasons of every reject: {context.root / REJECTS}"
    if selection.unjudged:
        raise WorkFailedError(
            f"{len(selection.unjudged)} clips are unjudged (named in {context.root / REJECTS}); `pyramid resume"
            f" {context.root}` asks again where the model could not be asked"
        )


def _import(context: RunContext, config: FilterConfig) -> Generator[str, None, tuple[Rejects, dict[str, str]]]:
    """Import the videos of a folder that are not too long; gives the records of those that are, and all names."""
    videos = VideoOptions(
        captions_in_names=config.captions_in_names,
        caption_key=config.caption_key,
        captions_file=config.captions_file or VideoOptions().captions_file,
    )
    about: dict[str, Any] = {"embodiment": config.embodiment, "layer": config.layer or "neural"}
    plain = ImportConfig(path=str(config.source), format="videos", videos=videos, **about)
    items = [item for unit in list_items(plain) for item in unit]
    rates = {id(item): float(_fraction(item["rate"])) for item in items}
    long = [item for item in items if item["length"] / max(rates[id(item)], 1e-9) > config.longest_s]
    numbers = tuple(sorted(item["number"] for item in items if item not in long))
    if not numbers:
        raise ConfigError(f"every video of {config.source} is longer than {config.longest_s:g} s; raise --longest-s")
    step = ImportStep(
        name="import",
        path=str(config.source),
        format="videos",
        videos=videos,
        episodes=numbers,
        episodes_per_unit=UNITS,
        **about,
    )
    # A clip that cannot be read is a reject like any other, however many there are.
    job = replace(import_job(context, step), policy=Policy(max_failed_fraction=1.0))
    yield imported(step, run_job(context.root, job, context.options))
    if mute := [text for text in Dataset.open(context.root).instructions() if not text]:
        yield (
            f"{len(mute)} clips have no caption (a line for each in captions.jsonl among them): rules judge them, and"
            " no model is asked"
        )
    records = [
        {
            "clip": item["name"],
            "reasons": [f"length: {item['length'] / rates[id(item)]:.0f} s; expected at most {config.longest_s:g} s"],
        }
        for item in long
    ]
    return records, {str(item["episode_id"]): str(item["name"]) for item in items}


def _fraction(text: str) -> float:
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


def _holds(root: Path, label: str) -> bool:
    """Whether a sidecar says anything about any episode."""
    sinks = {sink.name: sink for sink in sinks_of(root)}
    sink = sinks.get(f"labels/{label}")
    return sink is not None and any(manifest.shard is not None for manifest in read_manifests(sink))


def write_rejects(root: Path, selection: Selection, before: Rejects, names: Mapping[str, str] | None = None) -> Path:
    """Write why each clip that is not selected is not: one JSON line each. `before` are those that were never read,
    `names` what clips are called where the data set does not say it."""
    lines, unjudged = list(before), set(selection.unjudged)
    for manifest in read_manifests(Sink(root)):
        lines += [
            {
                "episode_id": drop.episode_id,
                "clip": drop.detail.get("name") or (names or {}).get(drop.episode_id, ""),
                "reasons": [f"{drop.reason}: {drop.detail.get('message', '')}"],
            }
            for drop in manifest.dropped
        ]
        for record in manifest.episodes:
            name = str(record["episode_id"])
            about = {"episode_id": name, "clip": _clip_of(record), "instruction": record["instruction"]}
            if name in selection.rejected:
                lines.append({**about, "reasons": list(selection.rejected[name])})
            elif name in unjudged:
                lines.append({**about, "unjudged": True, "reasons": []})
    text = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    write_whole(root / REJECTS, text.encode())
    return root / REJECTS


def _clip_of(record: Mapping[str, Any]) -> str:
    cameras = record["provenance"].get("imported", {}).get("cameras", {})
    return str(next(iter(cameras.values()), ""))


def saved(root: Path) -> str:
    """How many of the clips never cost a call of a model, because cheaper judges had rejected them."""
    lines = [
        f"the rules spared the model {spared} of {spared + asked} clips" for spared, asked in saved_calls(root).values()
    ]
    return "; ".join(lines) or "no model was asked (`--judge starter`, or another, asks one)"
