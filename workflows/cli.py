"""The command line: `pyramid <verb> ...`. A command parses, calls one library function and prints.

Exit status: 0 good, 1 work failed, 2 wrong use (a flag, a recipe, a name or a path that cannot be meant).
"""

import logging
import sys
from typing import Annotated

import typer

from storage.errors import ConfigError, MissingFileError, PyramidError, UnknownNameError
from workflows import watched
from workflows.commands import (
    data,
    importing,
    judging,
    labels,
    machine,
    neural,
    policies,
    relabel,
    runs,
    simulation,
    subset,
)
from workflows.current_run import current_root, how_to_go_on

app = typer.Typer(
    name="pyramid",
    help="The data pyramid factory: multiply, label, join and filter trajectories for robot foundation models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
runs.add_to(app)
relabel.add_to(app)
app.add_typer(data.app, name="data")
importing.add_to(data.app)
subset.add_to(data.app)
app.add_typer(simulation.app, name="sim")
labels.add_to(app)
judging.add_to(app, labels.evaluate)
policies.add_to(app)
neural.add_to(app, labels.fit)
machine.add_to(app)

_WRONG_USE = (ConfigError, UnknownNameError, MissingFileError)


@app.callback()
def _settings(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is going on, to standard error.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main() -> None:
    """Run the command line; an error raised on purpose ends in its one message, not in a traceback."""
    watched.want_watching()
    try:
        app()
    except PyramidError as error:
        print(f"pyramid: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, _WRONG_USE) else 1)
    except ImportError as error:
        print(f"pyramid: {error}. `pyramid doctor` says what is missing here, and how to install it.", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        advice = f" Fix it; then {how_to_go_on()}." if current_root() else ""
        print(f"pyramid: I/O error: {error}.{advice}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("pyramid: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
