"""`pyramid data import`, `inspect` and `quality`: foreign recordings looked into, brought in, and judged by their
numbers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import AsJson, DatasetOutput, DryRun, Folder, folder_for, name_of, with_engine
from workflows.recipes.run_context import RunContext

Source = Annotated[str, typer.Argument(help="A folder or file of recordings; the format is found by looking.")]
Format = Annotated[
    str,
    typer.Option(
        help="auto, lerobot, robomimic, videos, aloha, replay_zarr, maniskill, agibot, droid or rlds.", metavar="FORMAT"
    ),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", help="WHAT=COLUMN, e.g. state=obs.qpos[0:7] action=act camera.top=img; repeat."),
]
MapFile = Annotated[str, typer.Option(help="A YAML file of such entries (`pyramid data inspect` writes one).")]
Rate = Annotated[float, typer.Option(help="Steps a second, where the source does not tell.")]


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)
    app.command()(inspect)
    app.command()(quality)


@with_engine
def import_(
    path: Source,
    options: EngineOptions,
    more: Annotated[list[str] | None, typer.Argument(help="More entries of --map.", metavar="[WHAT=COLUMN]...")] = None,
    output: DatasetOutput = "",
    name: Annotated[str, typer.Option(help="Name of the job; that of what is imported by default.")] = "",
    format: Format = "auto",
    embodiment: Annotated[str, typer.Option(help="A known embodiment, or the name of a new one.")] = "",
    layer: Annotated[str, typer.Option(help="real, simulation, neural or human.")] = "",
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat.")] = None,
    limit: Annotated[int, typer.Option(help="Only the first so many episodes.")] = 0,
    height_px: Annotated[int, typer.Option(help="Resize frames; needs --width-px too.")] = 0,
    width_px: Annotated[int, typer.Option(help="Resize frames; needs --height-px too.")] = 0,
    map_: Mapped = None,
    map_file: MapFile = "",
    rate_hz: Rate = 0.0,
    length_tolerance: Annotated[int, typer.Option(help="Cut rows and frames that differ by so many.")] = 0,
    flip_images: Annotated[bool, typer.Option(help="Turn images over that lie upside down.")] = False,
    instruction_column: Annotated[str, typer.Option(help="The column that holds the instruction.")] = "",
    instruction: Annotated[str, typer.Option(help="The instruction where the source has none.")] = "",
    allow_no_actions: Annotated[bool, typer.Option(help="Import numbers without an action.")] = False,
    allow_no_state: Annotated[bool, typer.Option(help="Import numbers without a state.")] = False,
    segment_s: Annotated[float, typer.Option(help="Cut longer videos into episodes of so many seconds.")] = 0.0,
    max_failed: Annotated[float, typer.Option(help="End when more than this share of recordings fails.")] = 0.1,
    dry_run: DryRun = False,
) -> None:
    """Bring foreign recordings in; what became of every column stands at the end, and in the dry run."""
    from pipelines.planning.plan import described
    from pipelines.run_job import run_job
    from storage.formats.import_item import VideoOptions
    from workflows.steps.import_data import ImportStep, import_job, import_table, imported

    step = ImportStep(
        name=name or name_of(path),
        path=path,
        format=format,  # type: ignore[arg-type]
        embodiment=embodiment,
        layer=layer,  # type: ignore[arg-type]
        cameras=tuple(camera or ()),
        limit=limit,
        size_px=_size(height_px, width_px),
        map=map_entries([*(map_ or []), *(more or [])]),
        map_file=map_file,
        rate_hz=rate_hz,
        length_tolerance_frames=length_tolerance,
        flip_images=flip_images,
        instruction_column=instruction_column,
        instruction=instruction,
        allow_no_actions=allow_no_actions,
        allow_no_state=allow_no_state,
        videos=VideoOptions(segment_s=segment_s),
        max_failed=max_failed,
    )
    root = folder_for(output, path)
    job = import_job(RunContext(root=root), step)
    print(f"{described(job)}\n{import_table(step)}" if dry_run else imported(step, run_job(root, job, options)))


def inspect(
    path: Source,
    format: Format = "auto",
    write: Annotated[bool, typer.Option(help="Write the guessed mapping beside the data.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is in a recording: names, shapes, rates, ranges and first texts; and a guess of what they mean."""
    import json

    from workflows.datasets.inspecting import inspect_source, inspection_text, write_mapping

    inspection = inspect_source(Path(path), format)
    print(json.dumps(inspection) if as_json else inspection_text(inspection))
    if write:
        print(f"wrote {write_mapping(Path(path), inspection)}")


@with_engine
def quality(
    dataset: Folder,
    options: EngineOptions,
    threshold: Annotated[list[str] | None, typer.Option(help="JUDGE=NUMBER in place of its own; repeat.")] = None,
    name: Annotated[str, typer.Option(help="Name of the sidecar.")] = "quality",
    dry_run: DryRun = False,
) -> None:
    """Score every episode without a model: stillness, jerk, saturation, outliers, clocks, duplicates; with a page."""
    from pipelines.planning.plan import described
    from pipelines.run_job import run_job
    from workflows.datasets.quality import quality_job, quality_summary
    from workflows.datasets.selecting import thresholds_of

    job = quality_job(dataset, name, thresholds_of(threshold or []))
    if dry_run:
        print(described(job))
        return
    run_job(dataset, job, options)
    print(quality_summary(dataset, name))


def map_entries(texts: list[str]) -> dict[str, str]:
    """WHAT=COLUMN of the command line; entries of one text may be parted by spaces."""
    entries: dict[str, Any] = {}
    for text in (part for each in texts for part in each.split()):
        key, equals, value = text.partition("=")
        if not equals or not value:
            raise typer.BadParameter(f"a mapping is WHAT=COLUMN, such as state=obs.qpos; got {text!r}")
        entries[key] = value
    return entries


def _size(height_px: int, width_px: int) -> tuple[int, int] | None:
    from storage.errors import InputError

    if bool(height_px) != bool(width_px):
        raise InputError(f"--height-px and --width-px go together; got {height_px} and {width_px}")
    return (height_px, width_px) if height_px else None
