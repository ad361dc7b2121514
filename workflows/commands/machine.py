"""`pyramid doctor`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

_MARKS = {"good": "ok  ", "warning": "warn", "bad": "BAD "}


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print for machines.")] = False) -> None:
    """Look at the machine and the environment, and say how to mend what is wrong."""
    from workflows.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]} {finding.subject:16} {finding.text}")
            if finding.mend:
                print(f"     {'':16} -> {finding.mend}")
    raise typer.Exit(int(any(finding.state == "bad" for finding in findings)))
