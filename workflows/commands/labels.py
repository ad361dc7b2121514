"""`pyramid fit | label | evaluate idm | lapa`: make a labeller, use it, measure it."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import DryRun, Folder, with_engine
from workflows.run_context import RunContext

fit = typer.Typer(help="Fit a labeller to data sets.", no_args_is_help=True)
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
EmbodimentNames = Annotated[
    list[str] | None, typer.Option("--embodiment", help="Only units of this embodiment; repeat.")
]


def add_to(app: typer.Typer) -> None:
    for name, group in (("fit", fit), ("label", label), ("evaluate", evaluate)):
        app.add_typer(group, name=name)


@fit.callback()
def _show_progress() -> None:
    """A fit takes minutes: say how it goes."""
    for package in ("groot", "idm", "lapa"):
        logging.getLogger(package).setLevel(logging.INFO)


@fit.command("idm")
def fit_idm(
    datasets: Datasets,
    output: ModelOutput,
    preset: Preset = "starter",
    steps: Steps = 0,
    selection: Chosen = "",
    config: Settings = None,
) -> None:
    """Fit an inverse dynamics model. A fit that was stopped goes on from OUTPUT/training."""
    from workflows import fit_and_evaluate

    settings = fit_and_evaluate.settings_from(config)
    print(
        fit_and_evaluate.fit_idm(datasets, output, preset=preset, steps=steps, settings=settings, selection=selection)
    )


@fit.command("lapa")
def fit_lapa(
    datasets: Datasets, output: ModelOutput, preset: Preset = "starter", steps: Steps = 0, config: Settings = None
) -> None:
    """Fit a latent action model; its health is watched, a collapsed run stops early."""
    from workflows import fit_and_evaluate

    settings = fit_and_evaluate.settings_from(config)
    print(fit_and_evaluate.fit_lapa(datasets, output, preset=preset, steps=steps, settings=settings))


def _label(
    dataset: Path,
    options: EngineOptions,
    *,
    kind: Literal["idm", "lapa"],
    config: Path | None,
    dry_run: bool,
    settings: dict[str, Any] | None = None,
    **step: Any,
) -> None:
    from pipelines.planning.plan import described
    from pipelines.run_job import run_job
    from workflows.fit_and_evaluate import settings_from
    from workflows.steps.label import LabelStep, label_job, labelled

    chosen = LabelStep(kind=kind, settings={**settings_from(config), **(settings or {})}, **step)
    job = label_job(RunContext(root=dataset), chosen)
    print(described(job) if dry_run else labelled(chosen, run_job(dataset, job, options)))


@fit.command("groot")
def fit_groot(
    output: ModelOutput,
    datasets: Annotated[
        list[Path] | None, typer.Argument(help="Data sets to learn from.", metavar="[DATASET]...")
    ] = None,
    preset: Preset = "starter",
    recipe: Annotated[Path | None, typer.Option(help="YAML file: mixture, model, training.")] = None,
    steps: Steps = 0,
    selection: Chosen = "",
) -> None:
    """Fit the shared model, a policy, to a mixture. A fit that was stopped goes on from OUTPUT/training."""
    from workflows.training import fit_groot as fit_policy

    print(fit_policy(datasets or [], output, preset=preset, recipe=recipe, steps=steps, selection=selection))


@label.command("idm")
@with_engine
def label_idm(
    dataset: Folder,
    options: EngineOptions,
    model: Model = "starter",
    name: LabelName = "idm",
    embodiment: EmbodimentNames = None,
    config: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Add predicted actions with a confidence, an interval and flags for every step."""
    chosen: dict[str, Any] = {"model": model, "name": name, "embodiments": tuple(embodiment or ())}
    _label(dataset, options, kind="idm", config=config, dry_run=dry_run, **chosen)


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
    _label(dataset, options, kind="lapa", config=config, dry_run=dry_run, settings={"force": force}, **chosen)


@evaluate.command("idm")
def evaluate_idm(
    dataset: Folder,
    model: Model = "starter",
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the figures.")] = Path("idm.json"),
) -> None:
    """Figures by part of the action, calibration, error against confidence."""
    from idm.labelling.label_config import model_folder
    from workflows import fit_and_evaluate

    print(fit_and_evaluate.evaluate_idm(dataset, model_folder(model), output=output))


@evaluate.command("lapa")
def evaluate_lapa(
    datasets: Datasets,
    model: Model = "starter",
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("lapa.html"),
) -> None:
    """Probes, health, code use, and pictures of neighbours and transfers, on one page."""
    from workflows import fit_and_evaluate

    print(fit_and_evaluate.evaluate_lapa(datasets, model, output=output))


@evaluate.command("groot")
@with_engine
def evaluate_groot(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted policy.")],
    options: EngineOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for figures, roll-outs and the page.")] = Path(
        "runs/evaluation"
    ),
    data: Annotated[list[Path] | None, typer.Option(help="Measure chunks on this data set; repeat.")] = None,
    task: Annotated[str, typer.Option(help="Roll the policy out in this task.")] = "",
    placement: Annotated[str, typer.Option(help="Range of initial scenes.")] = "D0",
    scenes: Annotated[int, typer.Option(help="How many fixed scenes.")] = 50,
    execute_steps: Annotated[int, typer.Option(help="Steps of a chunk that are executed.")] = 8,
    horizon: Annotated[int, typer.Option(help="Steps after which a roll-out has failed.")] = 200,
    instruction: Annotated[str, typer.Option(help="In place of the task's own.")] = "",
    also_check: Annotated[list[str] | None, typer.Option(help="Count success of this task too; repeat.")] = None,
    head: Annotated[str, typer.Option(help="Head of the model that acts.")] = "",
) -> None:
    """Errors of predicted chunks by head and horizon, and closed-loop success in simulation with its interval."""
    from workflows import training
    from workflows.roll_outs import RollOutPlan

    settings = {"execute_steps": execute_steps, "horizon": horizon, "instruction": instruction}
    settings |= {"also_check": tuple(also_check or ())}
    plan = RollOutPlan(task=task, placement=placement, scenes=scenes, settings=settings) if task else None
    print(training.evaluate_groot(model, output, datasets=data or (), plan=plan, head=head, options=options))
