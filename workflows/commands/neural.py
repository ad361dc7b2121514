"""`pyramid dream` and `pyramid fit video`: neural trajectories, and fitting the model that makes them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import DatasetOutput, DryRun, folder_for, with_engine
from workflows.recipes.run_context import RunContext

Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Camera to begin from; repeat for a 2 x 2 grid.")]
Settings = Annotated[Path | None, typer.Option("--config", help="YAML file with further settings.")]


def add_to(app: typer.Typer, fit: typer.Typer) -> None:
    app.command()(dream)
    fit.command("video")(fit_video)


@with_engine
def dream(
    source: Annotated[str, typer.Argument(help="A data set or a folder of pictures: the first frames.")],
    options: EngineOptions,
    output: DatasetOutput = "",
    model: Annotated[str, typer.Option(help='"starter", the folder of a diffusers pipeline, or a hub id.')] = "starter",
    lora: Annotated[str, typer.Option(help="A LoRA for the model: a folder or a safetensors file.")] = "",
    prompts: Annotated[str, typer.Option(help='"own", "all" (counterfactual), or a .txt or .yaml file.')] = "own",
    count: Annotated[int, typer.Option(help="How many clips; 0: one for each frame and prompt.")] = 0,
    embodiment: Annotated[str, typer.Option(help="Whose pictures they are, or whose to take.")] = "",
    camera: Cameras = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    config: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Make neural trajectories: clips that a model draws from first frames and instructions."""
    from workflows.models.dreaming import describe_dream, dream_lines, dream_step

    settings: dict[str, Any] = {"model": model, "lora": lora, "prompts": prompts, "count": count}
    step = dream_step(source, {**settings, "embodiment": embodiment, "cameras": tuple(camera or ())}, config)
    context = RunContext(root=folder_for(output, f"{Path(source).name}-dreams"), seed=seed, options=options)
    for line in describe_dream(context, step) if dry_run else dream_lines(context, step):
        print(line, flush=True)


def fit_video(
    datasets: Annotated[list[Path], typer.Argument(help="Data sets to learn from.", metavar="DATASET...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the LoRA and its card.")],
    model: Annotated[str, typer.Option(help='"starter", the folder of a diffusers pipeline, or a hub id.')] = "starter",
    steps: Annotated[int, typer.Option(help="Training steps; 0: the preset's.")] = 0,
    camera: Annotated[str, typer.Option(help="Camera to learn from; the first by default.")] = "",
    config: Settings = None,
) -> None:
    """Tune an image-to-video model to data sets (LoRA). A fit that was stopped goes on from OUTPUT/training."""
    from workflows.models.dreaming import fit_video as fit
    from workflows.models.fit_and_evaluate import settings_from

    print(fit(datasets, output, model=model, steps=steps, camera=camera, settings=settings_from(config)))
