"""`pyramid data subset`: a new data set of the episodes that stages, or a condition, keep."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import DryRun, Folder, with_engine
from workflows.recipes.run_context import RunContext


def add_to(app: typer.Typer) -> None:
    app.command()(subset)


@with_engine
def subset(
    dataset: Folder,
    options: EngineOptions,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the new data set.")],
    where: Annotated[
        str, typer.Option(help="Keep episodes for which this holds, e.g. \"layer == 'neural' and length > 40\".")
    ] = "",
    stage: Annotated[
        list[str] | None, typer.Option(help="A stage's name, or 'NAME: {setting: value}'; repeat for a chain.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file that declares stages of your own; repeat.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--labels", help="Sidecars whose labels come along; repeat.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the job.")] = "subset",
    keep_rejects: Annotated[bool, typer.Option(help="Keep the rejected episodes too, in OUTPUT/rejects.")] = True,
    dry_run: DryRun = False,
) -> None:
    """Make a new data set of the episodes that a condition and stages keep; rejects are kept beside their reasons."""
    from pipelines.catalog import load_stages
    from pipelines.planning.plan import described
    from storage.errors import ConfigError
    from workflows.steps.stages import StagesStep, run_stages, stages_job

    load_stages(plugin or [])
    chain: list[Any] = [{"where": {"condition": where}}] if where else []
    chain += [_link(text) for text in stage or []]
    if not chain or output.startswith("labels/"):
        raise ConfigError(f"a subset needs --where or --stage, and the folder of a new data set; got {output!r}")
    step = StagesStep(name=name, chain=tuple(chain), sink=output, labels=tuple(labels or ()), keep_rejects=keep_rejects)
    context = RunContext(root=dataset, options=options)
    print(described(stages_job(context, step)) if dry_run else run_stages(context, step))


def _link(text: str) -> Any:
    """A stage as it is written on the command line: a name, or YAML of one name with its settings."""
    import yaml

    from storage.errors import ConfigError

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--stage takes a name or 'NAME: {{setting: value}}'; got {text!r}: {error}") from None
