"""Run a benchmark: `python -m benchmarks --list`, `python -m benchmarks NAME [--quick]`.

A benchmark is a module of this package with a function `run(quick: bool) -> dict` that prints what it measured for a
person and returns `measure.result(figures, bars)`. It is called by its folder and its file, `storage/read.py` being
storage_read. The last line printed is one JSON object with everything.
"""

import argparse
import ast
import difflib
import json
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import measure


def modules() -> dict[str, str]:
    """Name -> module of every benchmark: of those that define `run`. None of them is imported."""
    here = Path(__file__).parent
    parts = [
        path.relative_to(here).with_suffix("").parts for path in sorted(here.rglob("[!_]*.py")) if _defines_run(path)
    ]
    return {"_".join(dict.fromkeys(each)): ".".join(("benchmarks", *each)) for each in parts}


def _defines_run(path: Path) -> bool:
    statements = ast.parse(path.read_text()).body
    return any(isinstance(statement, ast.FunctionDef) and statement.name == "run" for statement in statements)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure one subject.")
    parser.add_argument("name", nargs="?", help="which one; see --list")
    parser.add_argument("--quick", action="store_true", help="a small version, under five minutes on two cores")
    parser.add_argument("--list", action="store_true", help="print the names of all benchmarks, one a line")
    chosen, known = parser.parse_args(arguments), modules()
    if chosen.list:
        print("\n".join(sorted(known)))
        return 0
    if chosen.name not in known:
        near = difflib.get_close_matches(chosen.name or "", known, n=3) or sorted(known)
        parser.error(f"no benchmark is called {chosen.name!r}; known: {', '.join(near)}")
    outcome = import_module(known[chosen.name]).run(quick=chosen.quick)
    about = {"machine": measure.machine(), "commit": measure.commit()}
    print(json.dumps({"name": chosen.name, **outcome, **about}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
