"""What the house promises about its rooms: how large they are, and that none of them needs itself."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("storage", "groot", "idm", "lapa", "judges", "generators", "pipelines", "workflows")
ALL = (*PRODUCT, "benchmarks", "examples", "scripts", "tests")
MOST_FILES, LONGEST_FUNCTION, MEDIAN_FUNCTION = 15, 60, 8


def files_of(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def lengths_of(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of every function in a file, decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_folder_holds_more_than_fifteen_source_files() -> None:
    folders = Counter(path.parent for path in files_of(*ALL) if path.name != "__init__.py")
    assert len(folders) > 50
    wide = {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > MOST_FILES}
    assert not wide


def test_no_function_is_longer_than_sixty_lines() -> None:
    functions = [(path.relative_to(ROOT), *each) for path in files_of(*ALL) for each in lengths_of(path)]
    assert len(functions) > 3000
    assert not [function for function in functions if function[2] > LONGEST_FUNCTION]


@pytest.mark.parametrize("package", PRODUCT)
def test_half_of_the_functions_of_a_package_have_at_most_eight_lines(package: str) -> None:
    assert median(lines for path in files_of(package) for _, lines in lengths_of(path)) <= MEDIAN_FUNCTION


def imports_of(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The modules of this project that a file imports when it is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner, node.module) if name in modules)


def circle_in(arrows: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_needs_itself_to_be_imported() -> None:
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files_of(*PRODUCT, "benchmarks")}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}
    arrows = {name: set(imports_of(path, modules)) - {name} for name, path in modules.items()}
    assert sum(map(len, arrows.values())) > 1500
    assert circle_in(arrows) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
