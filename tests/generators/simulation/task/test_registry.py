import textwrap

import pytest

from generators.simulation.task.registry import find_task, tasks
from storage.errors import ConfigError, MissingFileError, UnknownNameError


def test_a_task_is_found_by_its_name():
    assert find_task("stack").environment == "Stack"


def test_an_unknown_task_names_the_nearest_one():
    with pytest.raises(UnknownNameError, match=r"task 'liftt'; did you mean .*lift"):
        find_task("liftt")


def test_names_of_tasks_are_the_keys_of_the_registry():
    assert all(name == task.name for name, task in tasks().items())


def test_a_file_without_tasks_says_what_it_should_hold(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="must hold TASKS"):
        find_task(str(tmp_path / "mine.py"))


def test_a_file_that_does_not_load_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    with pytest.raises(ConfigError, match=r"does not load: ModuleNotFoundError: .*no_such_package"):
        find_task(str(tmp_path / "broken.py"))
    with pytest.raises(MissingFileError, match=r"no task file .*gone\.py"):
        find_task(str(tmp_path / "gone.py"))


def test_one_of_several_tasks_of_a_file_is_chosen_by_its_name(tmp_path):
    source = """
        from dataclasses import replace
        from generators.simulation.task.registry import find_task
        TASKS = (replace(find_task("lift"), name="one"), replace(find_task("lift"), name="two"))
    """
    (tmp_path / "both.py").write_text(textwrap.dedent(source))
    assert find_task(f"{tmp_path}/both.py:two").name == "two"
    with pytest.raises(ConfigError, match=r"declares \['one', 'two'\]; say which"):
        find_task(f"{tmp_path}/both.py")
    with pytest.raises(UnknownNameError, match="'three'"):
        find_task(f"{tmp_path}/both.py:three")
