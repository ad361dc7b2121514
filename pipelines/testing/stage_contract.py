"""The contract that every row of the catalog keeps, as assertions; for the stages of users too.

`check_row` asks what can be known without data, `check_stage` lets a stage work on inputs of yours:

    check_stage(Stage(...), {"threshold": 0.5}, [tiny_episode(seed) for seed in range(4)])
"""

import copy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pipelines.config import config_from, settings_of
from pipelines.stage import Stage, resolve
from pipelines.unit.outcome_check import check_outcomes
from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.fields import FIELDS, field_of
from storage.ids import Randomness, canonical_json
from storage.outcomes import Kept, Outcome
from storage.testing import same_episode

_FOREIGN: Mapping[str, tuple[str, ...]] = {
    "any": ("torch", "mujoco", "ray"),
    "simulation": ("torch", "ray"),
    "torch": ("mujoco", "ray"),
}
"""What may not be imported into a process of each kind."""


def check_row(name: str, row: Stage) -> None:
    """Assert that a row is sound: its names exist, its config is one, its module keeps to its kind of process."""
    for field in row.reads | row.writes:
        assert _is_field(field), f"{name} declares {field!r}, which is no field"
    assert row.version >= 1, f"{name}: versions begin at 1"
    assert not (row.source and row.reads), f"{name}: a source takes items, it reads no fields"
    config: Any = resolve(row.config)
    assert is_dataclass(config), f"{name}: the config is no dataclass"
    assert vars(config)["__dataclass_params__"].frozen, f"{name}: the config is not frozen"
    assert all(each.kw_only for each in fields(config)), f"{name}: the config takes positional values"
    assert callable(resolve(row.call)), f"{name}: a stage is made by calling what the row names"
    foreign = _imports(row.call, row.config) & set(_FOREIGN[row.process])
    assert not foreign, f"{name} runs in processes of kind {row.process!r} and imports {foreign}"


def check_stage(
    row: Stage, settings: Mapping[str, Any], inputs: Sequence[Any], *, seed: int = 0
) -> list[list[Outcome]]:
    """Assert that a stage keeps its law on `inputs`, and return its outcomes: the same again, made anew, in another
    order and one by one; nothing written that is not declared; no input changed."""
    config = config_from(resolve(row.config), settings)
    assert config_from(resolve(row.config), settings_of(config)) == config, "the config does not survive a job file"
    randomness = Randomness(seed, "stage")
    before = copy.deepcopy(list(inputs))
    call = row.make(settings)
    outcomes = call(list(inputs), randomness)
    check_outcomes("stage", inputs, outcomes, writes=row.writes, labelling=False)
    assert_same(call(list(inputs), randomness), outcomes, "a second time")
    assert_same(row.make(settings)(list(inputs), randomness), outcomes, "made anew")
    assert_same(row.make(settings)(list(inputs)[::-1], randomness)[::-1], outcomes, "in the other order")
    alone = row.make(settings)
    assert_same([alone([each], randomness)[0] for each in inputs], outcomes, "one by one")
    assert all(map(_same_input, before, inputs)), "the stage changed what it was given"
    return outcomes


def assert_same(one: Sequence[Sequence[Outcome]], other: Sequence[Sequence[Outcome]], how: str) -> None:
    """Assert that two sets of outcomes are equal to the bit."""
    assert [len(outcomes) for outcomes in one] == [len(outcomes) for outcomes in other], (
        f"{how} it gives another number of outcomes"
    )
    for mine, its in zip((each for f in one for each in f), (each for f in other for each in f), strict=True):
        if isinstance(mine, Kept) and isinstance(its, Kept):
            assert same_episode(mine.episode, its.episode), f"{how} {mine.episode.episode_id} comes out differently"
        else:
            assert canonical_json(mine) == canonical_json(its), f"{how} it decides differently: {mine} and {its}"


def _is_field(name: str) -> bool:
    if name in {row.name for row in FIELDS} | {"video", "action"}:
        return True
    try:
        field_of(name)
    except UnknownNameError:
        return False
    return True


def _same_input(one: Any, other: Any) -> bool:
    if isinstance(one, Episode):
        return same_episode(one, other)
    return canonical_json(one) == canonical_json(other)


def _imports(*references: str) -> set[str]:
    """Top-level packages that are loaded once `references` are, in a process of its own."""
    program = (
        "import sys; from pipelines.stage import resolve; [resolve(each) for each in sys.argv[1:]];"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", program, *references]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True, timeout=300)
    return set(done.stdout.split())
