"""`pyramid sim ...`: the tasks of the simulation generator."""

import json
from pathlib import Path
from typing import Annotated

import typer

from workflows.commands.options import AsJson

app = typer.Typer(help="The tasks of the simulation generator.", no_args_is_help=True)
TaskName = Annotated[str, typer.Argument(help="A task's name, or a Python file that declares one (file.py[:name]).")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every task with its robots, constraints, source demonstrations and measured success rate."""
    from generators.simulation.inspection.listing import list_tasks, listing_text

    rows = list_tasks()
    print(json.dumps(rows) if as_json else listing_text(rows))


@app.command()
def check(
    task: TaskName,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the picture and the video.")] = Path("."),
    video: Annotated[bool, typer.Option(help="Render a video too.")] = True,
) -> None:
    """Replay a task's source demonstrations, show how they split into subtasks, and say what is wrong."""
    from generators.simulation.inspection.check import check_task
    from generators.simulation.task.registry import find_task
    from storage.errors import WorkFailedError

    report = check_task(find_task(task), output, video=video)
    print(report.text)
    if not report.good:
        raise WorkFailedError(f"{task}: {len(report.problems)} problems; mend them before generating")


@app.command()
def collect(
    task: TaskName,
    episodes: Annotated[int, typer.Option(help="How many successful demonstrations.")] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HDF5 file; the one that the task names by default."),
    ] = None,
    placement: Annotated[str, typer.Option(help="Range of initial scenes.")] = "D0",
) -> None:
    """Collect source demonstrations with a task's scripted expert."""
    from generators.simulation.demonstrations.collect import collect as collect_sources
    from generators.simulation.demonstrations.recordings import collected_path, write_recordings
    from generators.simulation.task.registry import find_task

    definition = find_task(task)
    recordings = collect_sources(definition, episodes=episodes, placement=placement)
    target = output or collected_path(definition)
    write_recordings(target, definition, recordings)
    print(f"{len(recordings)} demonstrations in {target}")
