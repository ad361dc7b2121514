"""`pyramid demo`: the shipped recipe, run into a fresh folder, with the time it took."""

import time
from collections.abc import Iterator

from pipelines.engines.engine import EngineName
from workflows.commands.options import context_for
from workflows.recipe import find_recipe, load_recipe
from workflows.run_recipe import run_recipe


def run_demo(output: str, *, engine: EngineName = "local", workers: int | None = None) -> Iterator[str]:
    """Run `demo.yaml` into `output`; lines for people."""
    recipe = load_recipe(find_recipe("demo"), output=output)
    context = context_for(output, seed=recipe.seed, engine=engine, workers=workers)
    began_s = time.monotonic()
    yield from run_recipe(recipe, context)
    yield f"done in {time.monotonic() - began_s:.0f} s; open {output}/report.html in a browser"
