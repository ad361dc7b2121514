"""A message that names a flag names one that the command which said it has, or says whose flag it is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from workflows.cli import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("storage", "groot", "idm", "lapa", "judges", "generators", "pipelines", "workflows")
OF_OTHERS = {
    "--modality-config-path",
    "--data-config",
    "--embodiment-tag",
    "--short",
    "--porcelain",
    "--imports",
    "--no-deps",
}
"""Flags of other programs and of scripts."""
SAID_BY = {
    "storage/formats/": ("data import",),
    "groot/serving/": ("serve",),
    "idm/fitting/": ("fit idm",),
    "generators/neural/": ("dream",),
    "generators/simulation/": ("generate",),
    "pipelines/planning/resume_check.py": ("resume",),
    "workflows/commands/importing.py": ("data import",),
    "workflows/commands/policies.py": ("serve",),
    "workflows/commands/relabel.py": ("relabel",),
    "workflows/commands/subset.py": ("data subset",),
    "workflows/commands/data.py": ("data select",),
    "workflows/datasets/inspecting.py": ("data inspect",),
    "workflows/doctor.py": ("generate", "dream", "label idm"),
    "workflows/judging/filtering.py": ("filter",),
    "workflows/models/fit_and_evaluate.py": ("evaluate idm",),
    "workflows/models/serving.py": ("serve",),
    "workflows/models/training.py": ("fit groot", "evaluate groot"),
    "workflows/review/": ("review",),
    "workflows/steps/generate.py": ("generate",),
    "workflows/steps/relabelling/": ("relabel",),
    "workflows/training_data.py": ("fit idm", "fit lapa"),
}
"""Which commands say what a file says. What any command may say, such as a step of recipes, is not here: it names the
command whose flag it is."""


def options_of(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    if isinstance(command, TyperGroup):
        for each, inner in command.commands.items():
            yield from options_of(inner, f"{name} {each}".strip())
    else:
        yield name, {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


COMMANDS = {name: {*options, "--help"} for name, options in options_of(typer.main.get_command(app))}


def texts_of(path: Path) -> Iterator[str]:
    """The texts of a file that a person may read, without docstrings, declarations of options and words of commands."""
    tree = ast.parse(path.read_text())
    silent = {id(inner) for node in ast.walk(tree) if _is_silent(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            silent |= {id(inner) for inner in ast.walk(node)}
            parts = [part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".Option", "add_argument"))


def commands_in(text: str) -> list[str]:
    """The commands that a text names, such as "data import"."""
    words = re.findall(r"pyramid ([a-z]+)(?: ([a-z0-9-]+))?", text)
    return [name for one, two in words for name in (f"{one} {two}", one) if name in COMMANDS]


def problems_in(place: str, text: str) -> list[str]:
    """The flags in `text`, said by the file at `place`, that nobody can use who reads it."""
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - OF_OTHERS
    if not flags or " " not in text.strip():
        return []
    speaking = {one for start, names in SAID_BY.items() if place.startswith(start) for one in names}
    speakers = speaking | set(commands_in(text))
    having = {flag: {name for name in speakers if flag in COMMANDS[name]} for flag in flags}
    return [f"{place}: {flag} in {text!r}; said by or about {sorted(speakers)}" for flag in flags if not having[flag]]


def test_every_flag_in_a_message_is_one_of_the_command_that_says_it_or_that_it_names() -> None:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    texts = [(file.relative_to(ROOT).as_posix(), text) for file in files for text in texts_of(file)]
    assert sum(text.count(" --") for _, text in texts) > 30
    assert not [problem for place, text in texts for problem in problems_in(place, text)]


def test_every_command_that_a_message_or_page_of_the_documentation_tells_to_type_is_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    typed = [line for page in pages for line in page.read_text().splitlines() if ".venv/bin/pyramid " in line]
    assert len(typed) > 25
    assert not [problem for line in typed for problem in problems_in("README.md", line.partition("#")[0])]


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("workflows/steps/label.py", "or label all the same with --force"),
        ("workflows/steps/relabelling/watch.py", "name the model with --model"),
        ("workflows/steps/select.py", "see `pyramid data export --length-tolerance 3`"),
    ],
)
def test_a_flag_of_another_command_is_noticed(place: str, text: str) -> None:
    assert problems_in(place, text)
