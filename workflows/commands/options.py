"""Options that many commands share. Like all of `workflows.commands`, light: `pyramid --help` imports it."""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineName, EngineOptions
from workflows import watched

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")]
DatasetOutput = Annotated[
    str, typer.Option("--output", "-o", help="Folder of the data set, made or added to; runs/NAME by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print for machines.")]
Folder = Annotated[Path, typer.Argument(help="Folder of the data set.", metavar="DATASET")]

_ENGINE = {
    "engine": (
        Annotated[EngineName, typer.Option(help="local: one process here; ray: Ray workers; auto: what pays.")],
        "auto",
    ),
    "address": (
        Annotated[
            str | None,
            typer.Option(help="A Ray cluster: auto, host:port or ray://host:port. None: one of its own here."),
        ],
        None,
    ),
    "workers": (Annotated[int | None, typer.Option(help="Ray workers at a time; as many as fit by default.")], None),
}


def with_engine(command: Callable[..., None]) -> Callable[..., None]:
    """`command(..., options: EngineOptions)` as a command with --engine, --address and --workers in place of `options`.
    It runs in a process of its own that is watched (`workflows.watched`); progress goes to standard error."""
    own = inspect.signature(command).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _ENGINE.items()
    ]

    @wraps(command)
    def with_options(**values: Any) -> None:
        from pipelines.progress.display import ProgressDisplay
        from workflows.current_run import NotedProgress, how_to_go_on, refuse_given_up

        if watched.is_wanted() and not values.get("dry_run"):
            raise typer.Exit(watched.run_watched(sys.argv[1:]))
        chosen = {name: values.pop(name) for name in _ENGINE}
        try:
            command(**values, options=EngineOptions(progress=NotedProgress(ProgressDisplay()), **chosen))
            refuse_given_up()
        except KeyboardInterrupt:
            print(f"pyramid: stopped; {how_to_go_on()}", file=sys.stderr)
            raise typer.Exit(130) from None

    kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own if each.name != "options"]
    typed = {each.name: each.annotation for each in (*kept, *added)}
    vars(with_options).update(__signature__=inspect.Signature([*kept, *added]), __annotations__=typed)
    del with_options.__wrapped__  # typer would look at the command itself
    return with_options


def name_of(source: str) -> str:
    """What a data set or a job is called that is made from `source`: a task, a file, a folder."""
    return Path(source).resolve().stem


def folder_for(output: str, source: str) -> Path:
    """Where a data set goes that is made from `source`: `output`, or runs/<its name>."""
    return Path(output or f"runs/{name_of(source)}")
