"""`pyramid fit | label | evaluate idm | lapa`: make a labeller, use it, measure it."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import DryRun, Folder, with_engine
from workflows.recipes.run_context import RunContext

fit = typer.Typer(help="Fit a labeller or a video model to data sets.", no_args_is_help=True)
label = typer.Typer(help="Add labels to a data set, as a sidecar.", no_args_is_help=True)
evaluate = typer.Typer(help="Measure a labeller on data whose actions are known.", no_args_is_help=True)

Datasets = Annotated[list[Path], typer.Argument(help="Data sets to learn from.", metavar="DATASET...")]
ModelOutput = Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and card.")]
Preset = Annotated[str, typer.Option(help="Size of the model: tiny, starter, or one of the published ones.")]
Steps = Annotated[int, typer.Option(help="Training steps; 0: the preset's.")]
Settings = Annotated[Path | None, typer.Option("--config", help="YAML file with further settings.")]
Model = Annotated[str, typer.Option(help='Folder of the model, or "starter" for the one that ships.')]
LabelName = Annotated[str, typer.Option(help="Name of the sidecar; the labeller's by default.")]
Chosen = Annotated[str, typer.Option("--selection", help="Only the episodes of this selection.")]
HeldOut = Annotated[
    str, typer.Option(help="Episodes never trained on: a share such as 0.2, ids with commas between, or @FILE of ids.")
]
ActionArray = Annotated[str, typer.Option("--action", help="Array of actions to learn from or to compare with.")]
Head = Annotated[str, typer.Option(help="Embodiment of the model to label as; each episode's own by default.")]
EmbodimentNames = Annotated[
    list[str] | None, typer.Option("--embodiment", help="Only units of this embodiment; repeat.")
]


def add_to(app: typer.Typer) -> None:
    for name, group in (("fit", fit), ("label", label), ("evaluate", evaluate)):
        app.add_typer(group, name=name)


@fit.callback()
def _show_progress() -> None:
    """A fit takes minutes: say how it goes."""
    for package in ("groot", "idm", "lapa", "generators.neural"):
        logging.getLogger(package).setLevel(logging.INFO)


@fit.command("idm")
def fit_idm(
    datasets: Datasets,
    output: ModelOutput,
    preset: Preset = "starter",
    steps: Steps = 0,
    selection: Chosen = "",
    held_out: HeldOut = "",
    action: ActionArray = "action/ground_truth",
    head: Annotated[str, typer.Option(help="Name to learn the actions under; the embodiment's by default.")] = "",
    config: Settings = None,
) -> None:
    """Fit an inverse dynamics model. A fit that was stopped goes on from OUTPUT/training."""
    from workflows.models import fit_and_evaluate

    chosen: dict[str, Any] = {"selection": selection, "held_out": held_out, "action": action, "head": head}
    settings = fit_and_evaluate.settings_from(config)
    print(fit_and_evaluate.fit_idm(datasets, output, preset=preset, steps=steps, settings=settings, **chosen))


@fit.command("lapa")
def fit_lapa(
    datasets: Datasets,
    output: ModelOutput,
    preset: Preset = "starter",
    steps: Steps = 0,
    selection: Chosen = "",
    held_out: HeldOut = "",
    config: Settings = None,
) -> None:
    """Fit a latent action model; its health is watched, a collapsed run stops early."""
    from workflows.models import fit_and_evaluate

    settings = fit_and_evaluate.settings_from(config)
    chosen = {"selection": selection, "held_out": held_out}
    print(fit_and_evaluate.fit_lapa(datasets, output, preset=preset, steps=steps, settings=settings, **chosen))


def run_label(
    dataset: Path,
    options: EngineOptions,
    *,
    kind: Literal["idm", "lapa", "features"],
    config: Path | None,
    dry_run: bool,
    settings: dict[str, Any] | None = None,
    **step: Any,
) -> None:
    from pipelines.planning.plan import described
    from pipelines.run_job import run_job
    from workflows.models.fit_and_evaluate import settings_from
    from workflows.steps.label import LabelStep, label_job, labelled

    chosen = LabelStep(kind=kind, settings={**settings_from(config), **(settings or {})}, **step)
    job = label_job(RunContext(root=dataset), chosen)
    print(described(job) if dry_run else labelled(chosen, run_job(dataset, job, options)))


@label.command("idm")
@with_engine
def label_idm(
    dataset: Folder,
    options: EngineOptions,
    model: Model = "starter",
    name: LabelName = "idm",
    head: Head = "",
    embodiment: EmbodimentNames = None,
    config: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Add predicted actions with a confidence, an interval and flags for every step."""
    chosen: dict[str, Any] = {"model": model, "name": name, "embodiments": tuple(embodiment or ())}
    settings = {"head": head} if head else {}
    run_label(dataset, options, kind="idm", config=config, dry_run=dry_run, settings=settings, **chosen)


@label.command("lapa")
@with_engine
def label_lapa(
    dataset: Folder,
    options: EngineOptions,
    model: Model = "starter",
    name: LabelName = "lapa",
    force: Annotated[bool, typer.Option(help="Label even with a model that fails its gates.")] = False,
    embodiment: EmbodimentNames = None,
    config: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Add latent actions, one for every step that has a later frame to look at."""
    chosen: dict[str, Any] = {"model": model, "name": name, "embodiments": tuple(embodiment or ())}
    run_label(dataset, options, kind="lapa", config=config, dry_run=dry_run, settings={"force": force}, **chosen)


@evaluate.command("idm")
def evaluate_idm(
    dataset: Folder,
    model: Model = "starter",
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the figures.")] = Path("idm.json"),
    action: ActionArray = "action/ground_truth",
    head: Head = "",
    embodiment: EmbodimentNames = None,
) -> None:
    """Figures by part of the action, calibration, error against confidence."""
    from idm.labelling.label_config import model_folder
    from workflows.models import fit_and_evaluate

    chosen: dict[str, Any] = {"action": action, "head": head, "embodiments": tuple(embodiment or ())}
    print(fit_and_evaluate.evaluate_idm(dataset, model_folder(model), output=output, **chosen))


@evaluate.command("lapa")
def evaluate_lapa(
    datasets: Datasets,
    model: Model = "starter",
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("lapa.html"),
) -> None:
    """Probes, health, code use, and pictures of neighbours and transfers, on one page."""
    from workflows.models import fit_and_evaluate

    print(fit_and_evaluate.evaluate_lapa(datasets, model, output=output))
