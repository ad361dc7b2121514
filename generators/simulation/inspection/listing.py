"""The list of tasks that people and machines read."""

from collections.abc import Mapping, Sequence
from typing import Any

from generators.simulation.demonstrations.recordings import count_recordings, source_path
from generators.simulation.inspection.success_rates import measured_rates
from generators.simulation.task.registry import tasks
from generators.simulation.task.specification import Task
from storage.errors import InputError


def list_tasks() -> list[dict[str, Any]]:
    """A row for every known task: name, robot_class, constraints, sources (number of demonstrations), success_rate
    (measured on D0; None when it was not), placements and instruction."""
    rates = measured_rates()
    return [_row(task, rates.get(task.name, {})) for task in tasks().values()]


def _row(task: Task, rates: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    instruction = task.instruction if isinstance(task.instruction, str | tuple) else ""
    return {
        "name": task.name,
        "robot_class": task.robot_class,
        "constraints": list(task.constraint_kinds),
        "sources": _sources(task),
        "success_rate": rates.get("D0", {}).get("rate"),
        "rates": {name: dict(rate) for name, rate in rates.items()},
        "placements": list(task.placements),
        "instruction": instruction if isinstance(instruction, str) else instruction[0],
    }


def _sources(task: Task) -> int:
    try:
        return count_recordings(source_path(task))
    except InputError:
        return 0


def listing_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for a terminal."""
    header = ("task", "robot", "constraints", "sources", "success on D0")
    cells = [header] + [
        (
            str(row["name"]),
            str(row["robot_class"]),
            ", ".join(row["constraints"]) or "-",
            str(row["sources"]),
            "not measured" if row["success_rate"] is None else f"{100 * row['success_rate']:.0f} %",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
