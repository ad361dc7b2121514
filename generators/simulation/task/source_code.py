"""The code that a task of one's own consists of, as one hash: it is part of the identity of what is generated."""

import ast
from collections.abc import Iterator
from pathlib import Path

from generators.simulation.task.specification import Task
from storage.errors import ConfigError
from storage.ids import content_id, file_hash


def code_hash(task: Task) -> str:
    """Hash of the file that declares `task` and of every module beside it that the file imports or names.

    Empty for the tasks that ship, whose `version` stands for their code.
    """
    if task.file is None:
        return ""
    return content_id("task code", {path.name: file_hash(path) for path in sorted(source_files(task))})


def source_files(task: Task) -> set[Path]:
    """The files behind `code_hash`."""
    assert task.file is not None
    named = [text.partition(":")[0] for text in (task.environment, task.expert) if isinstance(text, str)]
    folder, files = task.file.parent, {task.file}
    queue = [task.file, *(file for name in named for file in _files_of(folder, name))]
    files.update(queue)
    while queue:
        for name in _imported(queue.pop()):
            fresh = [file for file in _files_of(folder, name) if file not in files]
            files.update(fresh)
            queue += fresh
    return files


def _imported(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no Python file that can be read: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files_of(folder: Path, module: str) -> list[Path]:
    """The files of a module that lies in `folder`; none when it is somebody else's."""
    stem = folder.joinpath(*module.split("."))
    return [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if module and path.is_file()]
