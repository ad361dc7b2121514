"""Settings of the stage `Multiply`; they load without MuJoCo, so that a driver can check a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generators.simulation.task.execution import Quality, execution_with
from storage.errors import ConfigError
from storage.ids import file_hash


@dataclass(frozen=True, kw_only=True)
class MultiplyConfig:
    """What to generate, and how.

    `task` is a name or the path of a Python file that declares one; `sources` takes the first so many usable
    demonstrations (0: all) of `source_file` (empty: the task's own). `cameras` defaults to the task's; `size_px` 0
    draws nothing. `keep_failed` keeps failed attempts too, as episodes with a verdict that says so. `execution`
    replaces switches of `Execution`.
    """

    task: str
    placement: str = "D0"
    source_file: str = ""
    sources: int = 0
    cameras: tuple[str, ...] = ()
    size_px: int = 128
    quality: Quality = "fast"
    codec: str = "jpeg"
    keep_failed: bool = False
    execution: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sources < 0 or self.size_px < 0:
            raise ConfigError(f"sources and size_px must be 0 or more; got {self.sources} and {self.size_px}")
        execution_with(self.execution)

    def inputs(self) -> dict[str, str]:
        """What the result depends on besides this config: content hashes by name, for the unit's id."""
        from generators.simulation.demonstrations.recordings import source_path
        from generators.simulation.task.registry import find_task

        task = find_task(self.task)
        from generators.simulation.task.source_code import code_hash

        hashes = {"sources": file_hash(source_path(task, self.source_file)), "task": f"{task.name}@{task.version}"}
        return {**hashes, "task_file": code_hash(task)} if task.file else hashes
