"""What a recipe is expected to cost: sums of measured figures, and nothing guessed."""

from pathlib import Path

import pytest

from generators.simulation.inspection.success_rates import measured_rates
from workflows.recipes.estimate import PICTURE_CPU_S, costs, estimate_table
from workflows.recipes.recipe import find_recipe, load_recipe

RECIPE = """
name: some
steps:
  - generate: {name: lift, task: lift, keep: KEEP, size_px: 64}
  - label: {kind: idm, model: starter}
  - fit: {kind: lapa, preset: tiny}
"""


def cost_of(folder: Path, keep: int) -> list[float | None]:
    file = folder / f"{keep}.yaml"
    file.write_text(RECIPE.replace("KEEP", str(keep)))
    return [cost.cpu_s for _, cost in costs(load_recipe(file).steps)]


def test_simulation_costs_its_measured_attempts_and_its_pictures(tmp_path: Path) -> None:
    known = measured_rates()["lift"]["D0"]
    pictures = 100 * known["steps_an_attempt"] * 2 * 64**2 * PICTURE_CPU_S
    assert cost_of(tmp_path, 100)[0] == pytest.approx(
        100 / known["rate"] * known["cpu_s_an_attempt"] + pictures, rel=0.01
    )


def test_later_steps_cost_as_much_more_as_earlier_ones_make(tmp_path: Path) -> None:
    few, many = cost_of(tmp_path, 10), cost_of(tmp_path, 100)
    assert many[1] == pytest.approx(10 * few[1], rel=0.01)  # type: ignore[operator]


def test_what_nobody_measured_is_open_and_named_beside_the_sum(tmp_path: Path) -> None:
    assert cost_of(tmp_path, 10)[2] is None
    last = estimate_table(load_recipe(tmp_path / "10.yaml").steps).splitlines()[-1]
    assert last.split()[0] == "together"
    assert last.endswith("and what is open: 3 fit lapa")


@pytest.mark.parametrize("name", ["demo", "pyramid", "pyramid_full"])
def test_every_shipped_recipe_has_an_estimate_with_one_line_a_step(name: str) -> None:
    steps = load_recipe(find_recipe(name)).steps
    assert len(estimate_table(steps).splitlines()) == len(steps) + 2
