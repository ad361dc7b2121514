"""What became of every column and stream of a source: the table at the end of an import and in its dry run.

Nothing may be lost silently: what a reader does not take stands in this table as left out, with the reason. A source
whose numbers contain no action, or no state, is refused with the list of its columns and the setting that names them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from storage.errors import SchemaError

Became = Literal["state", "action", "label", "time", "foreign", "camera", "depth", "text", "index", "left out"]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """`column` of the source, of `width` numbers a step, became `became`; `detail` is its new name, or why it was left
    out."""

    column: str
    became: Became
    detail: str = ""
    width: int = 0


def fate_table(fates: Sequence[Fate]) -> str:
    """The fates as aligned lines for people."""
    rows = [("column", "became", "as, or why"), *((fate.column, fate.became, fate.detail) for fate in fates)]
    widths = [max(len(row[place]) for row in rows) for place in range(2)]
    return "\n".join(f"  {row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip() for row in rows)


def require_vectors(
    where: str, fates: Iterable[Fate], *, allow_no_actions: bool, allow_no_state: bool, numeric: bool = False
) -> None:
    """Raise SchemaError when numeric columns are there, if only a state, and none was recognised as the action, or a
    wide one of no known meaning is there and none as the state. A `numeric` source has such columns, if only among
    what was left out."""
    told = list(fates)
    kinds = {fate.became for fate in told}
    loose = [fate for fate in told if fate.became == "foreign"]
    numbers = ", ".join(f"{fate.column} ({fate.width})" for fate in loose) or "part of its state, or left out"
    if (loose or numeric or "state" in kinds) and not {"action", "label"} & kinds and not allow_no_actions:
        raise SchemaError(
            f"{where}: no column was recognised as the action; its numeric columns are {numbers}. Name them: "
            "--map action=COLUMN (`map:` in a recipe; `pyramid data inspect` guesses), or import without actions by "
            "--allow-no-actions"
        )
    if "state" not in kinds and any(fate.width > 1 for fate in loose) and not allow_no_state:
        raise SchemaError(
            f"{where}: no column was recognised as the state; its numeric columns are {numbers}. Name them: "
            "--map state=COLUMN,COLUMN (`map:` in a recipe; `pyramid data inspect` guesses), or import without a state "
            "by --allow-no-state"
        )
