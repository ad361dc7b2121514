"""`pyramid demo`: the shipped recipe, run into a fresh folder, with the time it took."""

import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.engines.options import EngineOptions
from workflows.recipes.recipe import find_recipe, load_recipe
from workflows.recipes.run_context import RunContext
from workflows.recipes.run_recipe import run_recipe


def run_demo(output: str, options: EngineOptions) -> Iterator[str]:
    """Run `demo.yaml` into `output`; lines for people."""
    recipe = load_recipe(find_recipe("demo"), output=output)
    context = RunContext(root=Path(output), seed=recipe.seed, options=options)
    began_s = time.monotonic()
    yield from run_recipe(recipe, context)
    yield f"done in {time.monotonic() - began_s:.0f} s; open {output}/report.html in a browser"
