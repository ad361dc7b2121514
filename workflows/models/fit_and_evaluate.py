"""Fitting and evaluating the labellers from data sets on disk: what `pyramid fit` and `pyramid evaluate` call."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.config import config_from, settings_of
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import InputError
from workflows.recipes.read_yaml import read_yaml
from workflows.training_data import training_data

if TYPE_CHECKING:
    from idm.evaluation.evaluate import Replay


def settings_from(path: Path | None) -> dict[str, Any]:
    """The settings in a YAML file; none without a file. Raises ConfigError."""
    return {} if path is None else read_yaml(path, what="settings file")


def merged(config: Any, settings: Mapping[str, Any]) -> Any:
    """`config` with `settings` put in, at any depth; unknown keys are refused."""
    return config_from(type(config), _put(settings_of(config), settings))


def _put(plain: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    deeper = {
        key: _put(plain[key], value)
        for key, value in settings.items()
        if isinstance(value, Mapping) and isinstance(plain.get(key), Mapping)
    }
    return {**plain, **settings, **deeper}


def fit_idm(
    datasets: Sequence[Path],
    output: Path,
    *,
    preset: str,
    steps: int,
    settings: Mapping[str, Any],
    selection: str = "",
    held_out: str = "",
    action: str = "action/ground_truth",
    head: str = "",
) -> str:
    """Fit an inverse dynamics model to every (selected) episode that has `action`, and save it in `output`."""
    from idm.fitting.fit import IdmFitConfig, fit
    from idm.presets import preset as idm_preset

    config = IdmFitConfig(model=idm_preset(preset))
    config = merged(replace(config, fit=replace(config.fit, steps=steps)) if steps else config, settings)
    data = training_data(datasets, selection=selection, held_out=held_out, action=action, head=head)
    model = fit(data, config, output, folder=output / "training")
    return f"fitted {config.model.preset} to {', '.join(model.targets)} in {output}"


def fit_lapa(
    datasets: Sequence[Path],
    output: Path,
    *,
    preset: str,
    steps: int,
    settings: Mapping[str, Any],
    selection: str = "",
    held_out: str = "",
) -> str:
    """Fit a latent action model to every (selected) episode with video, and save it in `output`."""
    from lapa.fitting.fit import LapaFitConfig, fit

    data = training_data(datasets, selection=selection, held_out=held_out, action="")
    fitted = fit(data, merged(LapaFitConfig.of_preset(preset, steps=steps), settings), output)
    verdict = "passes its gates" if not fitted.failures else f"FAILS its gates: {'; '.join(fitted.failures)}"
    return f"fitted {preset} in {output}; it {verdict}"


def evaluate_idm(
    dataset: Path,
    model_folder: Path,
    *,
    output: Path,
    action: str = "action/ground_truth",
    head: str = "",
    embodiments: Sequence[str] = (),
) -> str:
    """Measure a model on the episodes of a data set whose actions are known, embodiment by embodiment, and write
    figures and a page. What is measured are the labels that `pyramid label` writes, with their calibration and masks;
    where the episodes were simulated, also by playing the labels from the true initial state.

    Of a data set that the model was fitted to only the held-out episodes count. The gain and offset of this source
    are written for each body as `<output>-<body>-adjustment.json`, which labelling takes as its `adjustment`.
    """
    from idm.evaluation.evaluate import EvaluateConfig, evaluate
    from idm.evaluation.report import write_page
    from idm.labelling.saved_model import load_idm

    model, opened, config = load_idm(model_folder), Dataset.open(dataset), EvaluateConfig(action=action)
    there = set(opened.index.table["embodiment"].unique().to_pylist()) & set(embodiments or opened.embodiments)
    wanted = there if head else there & set(model.targets)
    if not wanted:
        raise InputError(
            f"{model_folder} knows {', '.join(model.targets)}; {dataset} has none of these embodiments;"
            " --head names the one to label as"
        )
    trained_on = _trained_on(model.card.data if model.card else {}, opened)
    figures = {}
    for chosen in sorted(wanted):
        episodes = [
            episode
            for episode in opened.episodes()
            if episode.embodiment == chosen and config.action in episode.arrays and episode.episode_id not in trained_on
        ]
        if not episodes:
            raise InputError(f"{dataset} has no episode of {chosen!r} with {action} that the model was not fitted to")
        figures[chosen] = evaluate(model, head or chosen, episodes, config, replay=_replay_of(episodes))
        adjustment = {name: figures[chosen]["adjustment"][name] for name in ("gain", "offset")}
        write_whole(output.with_name(f"{output.stem}-{chosen}-adjustment.json"), json_bytes(adjustment))
    write_whole(output, json_bytes(figures))
    page = write_page(output.with_suffix(".html"), figures, model=str(model_folder))
    return f"{json.dumps(figures, indent=2)}\npage: {page}"


def _trained_on(fitted_to: Mapping[str, Any], dataset: Dataset) -> set[str]:
    """Episodes that a model was fitted to: all but the held-out ones, where its card names this very data set."""
    from storage.ids import content_id

    known = fitted_to.get(dataset.name, {})
    if known.get("units") != content_id(sorted(dataset.units())):
        return set()
    return {str(name) for name in dataset.index.table["episode_id"].to_pylist()} - set(known["held_out"])


def _replay_of(episodes: Sequence[Episode]) -> "Replay | None":
    """What plays labels of simulated episodes; None where any was not simulated. MuJoCo is loaded only for them."""
    if not episodes or any("simulation/state" not in episode.arrays for episode in episodes):
        return None
    from workflows.models.replay_actions import Replayer, was_simulated

    return Replayer() if all(was_simulated(episode) for episode in episodes) else None


def evaluate_lapa(datasets: Sequence[Path], model: str, *, output: Path) -> str:
    """Measure a latent action model and write its page."""
    from lapa.evaluation.evaluate import LapaEvaluateConfig
    from lapa.evaluation.evaluate import evaluate_lapa as evaluate
    from lapa.evaluation.report import write_report

    evaluation, loaded = evaluate(datasets, LapaEvaluateConfig(model=model))
    page = write_report(evaluation, loaded, output)
    return f"{json.dumps(evaluation.health.to_json(), indent=2)}\nreport: {page}"
