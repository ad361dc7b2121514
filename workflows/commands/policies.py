"""`pyramid fit groot | label features | evaluate groot | serve`: train the shared model, measure it, let it act."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.labels import (
    Chosen,
    LabelName,
    ModelOutput,
    Preset,
    Steps,
    evaluate,
    fit,
    label,
    run_label,
)
from workflows.commands.options import DryRun, Folder, with_engine


def add_to(app: typer.Typer) -> None:
    """The other commands of this file go into the groups `fit`, `label` and `evaluate`."""
    app.command()(serve)


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
    roll_outs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Scenes to try the policy in afterwards, of each task that the data were generated in; 20 for the"
            " starter, else none. The page shows them.",
        ),
    ] = None,
) -> None:
    """Fit the shared model, a policy, to a mixture. A fit that was stopped goes on from OUTPUT/training."""
    from workflows.models.training import fit_groot as fit_policy

    settings = {"preset": preset, "recipe": recipe, "steps": steps, "selection": selection, "roll_outs": roll_outs}
    print(fit_policy(datasets or [], output, **settings))  # type: ignore[arg-type]


@label.command("features")
@with_engine
def label_features(
    dataset: Folder,
    recipe: Annotated[Path, typer.Option(help="The training recipe: its encoder and its views.")],
    options: EngineOptions,
    name: LabelName = "features",
    tokens: Annotated[int, typer.Option(help="Tokens of a step, padded.")] = 160,
    dry_run: DryRun = False,
) -> None:
    """Store what the frozen encoder of a recipe makes of every step, so that training need not compute it."""
    from workflows.models.training import feature_settings

    settings = feature_settings(dataset, recipe, tokens=tokens)
    run_label(dataset, options, kind="features", config=None, dry_run=dry_run, settings=settings, name=name)


@evaluate.command("groot")
@with_engine
def evaluate_groot(
    model: Annotated[Path, typer.Argument(help='Folder of a fitted policy, or "starter" for the one that ships.')],
    options: EngineOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for figures, roll-outs and the page.")] = Path(
        "runs/evaluation"
    ),
    data: Annotated[list[Path] | None, typer.Option(help="Measure chunks on this data set; repeat.")] = None,
    task: Annotated[str, typer.Option(help="Roll the policy out in this task.")] = "",
    placement: Annotated[str, typer.Option(help="Range of initial scenes.")] = "D0",
    scenes: Annotated[int, typer.Option(help="How many fixed scenes.")] = 50,
    execute_steps: Annotated[int, typer.Option(help="Steps of a chunk that are executed.")] = 4,
    horizon: Annotated[int, typer.Option(help="Steps after which a roll-out has failed.")] = 200,
    instruction: Annotated[str, typer.Option(help="In place of the task's own.")] = "",
    also_check: Annotated[list[str] | None, typer.Option(help="Count success of this task too; repeat.")] = None,
    head: Annotated[str, typer.Option(help="Head of the model that acts.")] = "",
) -> None:
    """Errors of predicted chunks by head and horizon, and closed-loop success in simulation with its interval."""
    from workflows.models import training
    from workflows.models.roll_outs import RollOutPlan

    settings = {"execute_steps": execute_steps, "horizon": horizon, "instruction": instruction}
    settings |= {"also_check": tuple(also_check or ())}
    plan = RollOutPlan(task=task, placement=placement, scenes=scenes, settings=settings) if task else None
    print(training.evaluate_groot(model, output, datasets=data or (), plan=plan, head=head, options=options))


def serve(
    model: Annotated[
        Path | None, typer.Argument(help='Folder of a fitted policy, or "starter".', metavar="[MODEL]")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Play back this data set's own actions instead.")] = None,
    protocol: Annotated[Literal["groot", "openpi"], typer.Option(help="Isaac-GR00T (ZeroMQ) or openpi.")] = "groot",
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: 5555 for groot, 8000 for openpi.")] = 0,
    token: Annotated[str, typer.Option(help="What clients must send.", envvar="PYRAMID_SERVE_TOKEN")] = "",
    head: Annotated[str, typer.Option(help="Head of the model that acts.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    horizon: Annotated[int, typer.Option(help="Steps of a chunk of --replay.")] = 16,
    execution_horizon: Annotated[int, typer.Option(help="Steps that --replay moves on by.")] = 8,
) -> None:
    """Serve a policy to clients of Isaac-GR00T N1.5, N1.6 and N1.7, or of openpi."""
    from groot.serving.server import ServeConfig
    from workflows.models.serving import policy_from
    from workflows.models.serving import serve as serve_policy

    logging.getLogger("groot").setLevel(logging.INFO)
    config = ServeConfig(host=host, port=port or {"groot": 5555, "openpi": 8000}[protocol], token=token)
    more = {"horizon": horizon, "execution_horizon": execution_horizon} if replay else {}
    policy = policy_from(model, replay=replay, head=head, device=device, **more)
    print(f"serving {policy.info.embodiment} on {config.host}:{config.port} ({protocol}); stop with Ctrl-C", flush=True)
    serve_policy(policy, config, protocol=protocol)
