"""One idea has one word, the field's: names in the code do not use the words that were given up for it."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("storage", "groot", "idm", "lapa", "judges", "generators", "pipelines", "workflows")
GIVEN_UP: Mapping[str, str] = {
    "lane": "arm queue",
    "bridge": "interpolation",
    "opinion": "prediction",
    "doubt": "uncertainty",
    "body": "embodiment",
    "bodies": "embodiments",
}
LIVING_BODIES = (
    "generators/simulation/",
    "pipelines/stages/expression.py",
    "generators/neural/prompts/language_model.py",
)
"""Where "body" is a rigid body of MuJoCo, a whole body, the body of an expression or of a request."""
ONE_MEANING = (
    "Clip",
    "Recipe",
    "Recording",
    "Finding",
    "WindowConfig",
    "EncoderConfig",
    "LossConfig",
    "Attempt",
    "Body",
)


def names_in(path: Path) -> Iterator[tuple[int, str]]:
    """Every name that a file gives to something, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def words_of(name: str) -> set[str]:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)]
    return {*words, *(word.removesuffix("s") for word in words)}


def given_up_in(place: str, name: str) -> list[str]:
    wrong = sorted(words_of(name) & set(GIVEN_UP))
    return [word for word in wrong if not (word.startswith("bod") and place.startswith(LIVING_BODIES))]


def test_no_name_uses_a_word_that_was_given_up() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = [(path.relative_to(ROOT).as_posix(), *named) for path in files for named in names_in(path)]
    assert len(names) > 10_000
    found = [(place, line, name) for place, line, name in names if given_up_in(place, name)]
    assert not found, "; ".join(f"{place}:{line} {name}" for place, line, name in found)


@pytest.mark.parametrize("name", ["body", "arm_lanes", "_opinion", "DoubtOf"])
def test_such_a_name_is_noticed(name: str) -> None:
    assert given_up_in("idm/labelling/label.py", name)


def test_a_class_name_that_had_two_meanings_has_one() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    classes = [
        node.name for path in files for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    assert len(classes) > 500
    assert not [name for name in ONE_MEANING if classes.count(name) > 1]
