"""What was counted as kept must be there: a run does not go on over damage."""

from itertools import islice
from pathlib import Path

from storage.errors import CorruptFileError
from storage.verification.verify import quick_findings

_MOST_TOLD = 3


def refuse_damage(root: Path) -> None:
    """Raise CorruptFileError where committed files of the data set in `root` are missing or too short."""
    damage = list(islice(quick_findings(root), _MOST_TOLD + 1))
    if damage:
        told = "; ".join(f"{finding.path}: {finding.text}" for finding in damage[:_MOST_TOLD])
        more = "; and more" if len(damage) > _MOST_TOLD else ""
        raise CorruptFileError(
            f"{root} is damaged ({told}{more}); `pyramid data repair {root}` takes the damaged units out and makes them"
            " again"
        )
