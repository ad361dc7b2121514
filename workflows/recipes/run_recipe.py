"""Running a recipe: its steps in order, each on what the ones before it left in the data set."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipelines.catalog import load_stages
from pipelines.planning.plan import described
from storage.atomic_files import write_whole
from storage.datasets.dataset import Dataset
from storage.errors import PyramidError, WorldError
from workflows.recipes.estimate import estimate_table
from workflows.recipes.recipe import Recipe, Step
from workflows.recipes.run_context import RunContext
from workflows.steps import STEPS

RECIPE_FILE = "recipe.yaml"
_LOG = logging.getLogger(__name__)


def run_recipe(recipe: Recipe, context: RunContext) -> Iterator[str]:
    """Run the steps that the environment asks for; gives one line for people after each.

    The resolved recipe is written into the data set first; running that file again gives the same run. A step that
    fails ends the run, after the pages that come later are written.
    """
    load_stages(Path(plugin) for plugin in recipe.plugins)
    for step in _wanted(recipe):
        STEPS[step.kind].check(step.config)
    Dataset.create_or_open(context.root, name=recipe.name)
    write_whole(context.root / RECIPE_FILE, yaml.safe_dump(recipe.resolved(), sort_keys=False).encode())
    steps = list(_wanted(recipe))
    for number, step in enumerate(steps, start=1):
        try:
            with _named(f"step {number} of {len(steps)} ({step.title})"):
                line = STEPS[step.kind].run(context, step.config)
        except PyramidError:
            yield from _after_failure(steps[number:], context)
            raise
        yield line


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say in which step something went wrong, and that nothing is lost by it; the kind of the error stays."""
    kept = "What is finished stays; put this right, and the same command goes on from there"
    try:
        yield
    except PyramidError as error:
        raise type(error)(f"{where}: {error}. {kept}") from error
    except OSError as error:
        raise WorldError(f"{where}: I/O error: {error}. {kept}") from error


def _after_failure(steps: Sequence[Step], context: RunContext) -> Iterator[str]:
    """Those of `steps` that are done also after a failure, as far as they can be."""
    for step in steps:
        kind = STEPS[step.kind]
        if kind.after_failure:
            try:
                line = kind.run(context, step.config)
            except (PyramidError, OSError) as error:
                _LOG.info("%s is left out after the failure: %s", step.kind, error)
            else:
                yield line


def describe_recipe(recipe: Recipe, context: RunContext) -> str:
    """What would run, and an estimate of its time and disk. A step whose plan follows from what earlier steps make is
    named and left open."""
    load_stages(Path(plugin) for plugin in recipe.plugins)
    lines = [f"recipe {recipe.name} -> {context.root}, seed {recipe.seed}"]
    for number, step in enumerate(_wanted(recipe), start=1):
        lines += [f"step {number}: {step.kind}", *(f"  {line}" for line in _described(step, context).splitlines())]
    return "\n".join([*lines, estimate_table(list(_wanted(recipe)))])


def _wanted(recipe: Recipe) -> Iterator[Step]:
    return (step for step in recipe.steps if step.wanted)


def _described(step: Step, context: RunContext) -> str:
    kind = STEPS[step.kind]
    if kind.job is None:
        return f"{step.config}"
    if kind.reads_data and not (context.root / "dataset.json").exists():
        return f"planned when the steps before it have run: {step.config}"
    return described(kind.job(context, step.config))
