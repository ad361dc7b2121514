"""`pyramid run | demo | generate | resume | status | report`: jobs and what became of them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import AsJson, DatasetOutput, DryRun, folder_for, with_engine
from workflows.recipes.run_context import RunContext

Output = Annotated[str, typer.Option("--output", "-o", help="Folder of the data set; the recipe's own by default.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of the data set.", metavar="RUN")]


def add_to(app: typer.Typer) -> None:
    for command in (demo, run, generate, resume, status, report):
        app.command()(command)


@with_engine
def run(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    options: EngineOptions,
    output: Output = "",
    dry_run: DryRun = False,
) -> None:
    """Run a recipe. Running it again goes on where it stopped."""
    from workflows.recipes.recipe import find_recipe, load_recipe
    from workflows.recipes.run_recipe import describe_recipe, run_recipe

    loaded = load_recipe(find_recipe(recipe), output=output)
    context = RunContext(root=Path(loaded.output), seed=loaded.seed, options=options)
    if dry_run:
        print(describe_recipe(loaded, context))
        return
    for line in run_recipe(loaded, context):
        print(line, flush=True)


@with_engine
def demo(options: EngineOptions, output: Output = "runs/demo") -> None:
    """The main job in small: multiply, join, label, read back, and show the report."""
    from workflows.demo import run_demo

    for line in run_demo(output, options):
        print(line, flush=True)


@with_engine
def generate(
    task: Annotated[str, typer.Argument(help="A task of `pyramid sim list`, or a Python file that declares one.")],
    keep: Annotated[int, typer.Option(help="How many successful trajectories to make.")],
    options: EngineOptions,
    output: DatasetOutput = "",
    name: Annotated[str, typer.Option(help="Name of the job; the task's by default.")] = "",
    sources: Annotated[int, typer.Option(help="Use the first so many source demonstrations; 0: all.")] = 0,
    placement: Annotated[str, typer.Option(help="Range of initial scenes.")] = "D0",
    size_px: Annotated[int, typer.Option(help="Side of the square camera images; 0: no images.")] = 128,
    full_quality: Annotated[bool, typer.Option(help="Render with reflections, antialiasing and whole meshes.")] = False,
    keep_failed: Annotated[bool, typer.Option(help="Keep failed attempts too, labelled as failures.")] = False,
    least_rate: Annotated[
        float, typer.Option(help="Give up when attempts succeed less often than this; 0: never.")
    ] = 0.05,
    noise: Annotated[
        float | None, typer.Option(help="Noise on every target, as a multiple of the task's own; 0: none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the job.")] = 0,
    dry_run: DryRun = False,
) -> None:
    """Multiply the demonstrations of one task in simulation."""
    from pipelines.planning.plan import described
    from pipelines.run_job import run_job
    from workflows.steps.generate import GenerateStep, generate_job, generated

    step = GenerateStep(
        name=name,
        task=task,
        keep=keep,
        sources=sources,
        placement=placement,
        size_px=size_px,
        quality="full" if full_quality else "fast",
        keep_failed=keep_failed,
        least_rate=least_rate,
        execution={} if noise is None else {"noise_scale": noise},
    )
    root = folder_for(output, task)
    job = generate_job(RunContext(root=root, seed=seed), step)
    print(described(job) if dry_run else generated(step, run_job(root, job, options)))


@with_engine
def resume(
    run: RunFolder,
    options: EngineOptions,
    job: Annotated[str | None, typer.Option(help="Only this job.")] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file of stages of your own that the jobs use; repeat.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code outside the data set that its plan names.")] = False,
) -> None:
    """Do what is left of every job of a data set."""
    from pipelines.catalog import load_stages
    from pipelines.run_job import resume as resume_jobs
    from storage.errors import WorkFailedError

    load_stages(plugin or [])
    results = resume_jobs(run, job, options, trust=trust)
    for result in results:
        print(f"{result.tally.job}: kept {result.tally.kept}, {len(result.dead_letters)} units given up")
    if any(result.dead_letters for result in results):
        raise WorkFailedError(f"some units failed for good; their causes are in {run}/failed")


def status(run: RunFolder, as_json: AsJson = False) -> None:
    """How far every job of a data set is, from its manifests alone; also while it runs."""
    from workflows.status import status_of, status_text

    progress = status_of(run)
    print(json.dumps(progress) if as_json else status_text(progress))


def report(
    run: RunFolder,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The page to write; report.html in RUN by default.")
    ] = "",
    gallery: Annotated[int, typer.Option(help="How many episodes to show as clips.")] = 12,
    selection: Annotated[str, typer.Option(help="Only the episodes of this selection.")] = "",
) -> None:
    """Write one self-contained page about a data set."""
    from workflows.report.build import write_report
    from workflows.report.config import ReportConfig

    settings: dict[str, Any] = {"output": output, "gallery": gallery, "selection": selection}
    print(write_report(run, ReportConfig(**settings)))
