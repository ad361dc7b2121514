"""Fitting, evaluating and serving the shared model: what `pyramid fit | evaluate | serve groot` call."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from groot.training.mixture_config import MixtureSource
from groot.training.policy_config import GrootFitConfig
from pipelines.config import config_from
from pipelines.engines.options import EngineOptions
from storage.atomic_files import json_bytes, write_whole
from storage.errors import ConfigError
from workflows.models.fit_and_evaluate import merged, settings_from
from workflows.models.roll_outs import RollOutPlan, roll_out, roll_out_job
from workflows.models.serving import served
from workflows.report.build import write_report
from workflows.report.config import ReportConfig

RESOLVED = "recipe.yaml"


def fit_groot(
    datasets: Sequence[Path],
    output: Path,
    *,
    preset: str,
    recipe: Path | None,
    steps: int,
    selection: str = "",
    roll_outs: int | None = None,
) -> str:
    """Fit the model to a mixture and save it in `output`, with a page about the run; stopped, it goes on from there.

    Afterwards it is tried in `roll_outs` scenes of each task that its data were generated in (None: the preset's
    number, where there is such a task). Raises ConfigError before training where roll-outs are asked for in vain.
    """
    from groot.training.fit_policy import fit_policy
    from workflows.models.fit_roll_outs import DEFAULT_SCENES, tasks_of, tried
    from workflows.models.training_report import write_training_page

    config = fit_config(datasets, preset=preset, recipe=recipe, steps=steps, selection=selection)
    scenes = DEFAULT_SCENES.get(config.model.name, 0) if roll_outs is None else roll_outs
    tasks, why_none = tasks_of([Path(source.dataset) for source in config.mixture.sources]) if scenes else ([], "")
    if roll_outs and why_none:
        raise ConfigError(f"roll-outs were asked for, but {why_none}; leave --roll-outs out")
    output.mkdir(parents=True, exist_ok=True)
    fitted = fit_policy(config, output)
    write_training_page(output, fitted, config)
    trials = tried(output, tasks, scenes=scenes)
    page = write_training_page(output, fitted, config, trials)
    lines = [f"fitted {config.model.name} to {', '.join(fitted.policy.heads)} in {output}"]
    lines += [f"left out: {line}" for line in fitted.left_out]
    lines += [f"{name} {value:.4g}" for name, value in fitted.result.figures.items() if name.count("/") == 1]
    lines += [trial.line for trial in trials] + ([f"no roll-outs: {why_none}"] if why_none else [])
    return "\n".join([*lines, f"report: {page}"])


def fit_config(
    datasets: Sequence[Path], *, preset: str, recipe: Path | None, steps: int = 0, selection: str = ""
) -> GrootFitConfig:
    """The recipe of a preset, with the settings of a recipe file put in; unknown keys and values are refused.

    Data sets that are named come in place of the recipe's sources.
    """
    settings = settings_from(recipe)
    chosen = str(settings.pop("preset", preset))
    sources = settings.get("mixture", {}).get("sources") if isinstance(settings.get("mixture"), Mapping) else None
    if sources is not None:
        settings["mixture"] = {
            **settings["mixture"],
            "sources": [_source(entry, number) for number, entry in enumerate(sources, start=1)],
        }
    config: GrootFitConfig = merged(GrootFitConfig.of_preset(chosen), settings)
    if datasets:
        named = tuple(MixtureSource(dataset=str(path), selection=selection) for path in datasets)
        config = replace(config, mixture=replace(config.mixture, sources=named))
    if not config.mixture.sources:
        raise ConfigError("nothing to train on: name data sets, or a --recipe with mixture: {sources: [...]}")
    return replace(config, fit=replace(config.fit, steps=steps)) if steps else config


def feature_settings(dataset: Path, recipe: Path, *, tokens: int) -> dict[str, Any]:
    """Settings of the stage `context_features` for the encoder and the views of a training recipe."""
    from groot.training.fit_policy import views_of
    from groot.training.mixture import cells_of
    from pipelines.config import settings_of

    config = fit_config([dataset], preset="starter", recipe=recipe)
    views = views_of(config, cells_of(config.mixture)[0])
    backbone = settings_of(config.model.backbone)
    return {"backbone": backbone, "views": {view: list(names) for view, names in views.items()}, "tokens": tokens}


def _source(entry: Any, number: int) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"source {number} of the mixture is a map such as {{dataset: runs/lift}}; got {entry!r}")
    from dataclasses import asdict

    source: MixtureSource = config_from(MixtureSource, entry)
    return asdict(source)


def write_resolved(output: Path, config: GrootFitConfig) -> Path:
    """The whole recipe, every default filled in; fitting it again gives the same run."""
    from pipelines.config import settings_of

    path = output / RESOLVED
    settings = settings_of(config)
    path.write_text(yaml.safe_dump({"preset": config.model.name, **settings}, sort_keys=False))
    return path


def evaluate_groot(
    model: Path,
    output: Path,
    *,
    datasets: Sequence[Path] = (),
    plan: RollOutPlan | None = None,
    head: str = "",
    options: EngineOptions | None = None,
) -> str:
    """Measure a policy: the error of its chunks on `datasets`, and its success in the scenes of `plan`.

    Figures go to OUTPUT/success.json and OUTPUT/offline.json, clips of roll-outs to OUTPUT/report.html.
    """
    from groot.card_hash import policy_folder, stated_hash

    model = policy_folder(model)
    if not datasets and plan is None:
        raise ConfigError("nothing to measure: name --data with recorded actions, or a --task to be done")
    policy = stated_hash(model, command="pyramid fit groot")
    if plan is not None:
        roll_out_job(plan, policy=policy)  # refuses what cannot be rolled out before anything is loaded
    lines: list[str] = []
    if datasets:
        lines += _offline(model, output, datasets)
    if plan is not None:
        with served(model, head=head) as address:
            figures = roll_out(output, plan, policy=policy, address=address, options=options or EngineOptions())
        low, high = figures["interval"]
        lines.append(
            f"{plan.task}, {plan.placement}: {figures['successes']} of {plan.scenes} scenes,"
            f" success {figures['success']:.2f} ({low:.2f} to {high:.2f} with 95 %)"
        )
        lines += [f"also reached: {name} {count}" for name, count in figures["also_reached"].items()]
        lines.append(f"report: {write_report(output, ReportConfig(gallery=12))}")
    return "\n".join(lines)


def _offline(model: Path, output: Path, datasets: Sequence[Path]) -> list[str]:
    from groot.training.offline_error import offline_figures
    from groot.training.saved_policy import load_policy

    figures = offline_figures(load_policy(model), datasets)
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "offline.json", json_bytes(figures))
    return [f"{name} {value:.4g}" for name, value in figures.items()]
