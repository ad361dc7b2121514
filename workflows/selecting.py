"""Making selections: what `pyramid data select`, `pyramid filter` and recipes share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.datasets.dataset import Dataset
from storage.datasets.reviews import people_of
from storage.datasets.selection import Selection, SelectionPolicy, make_selection, write_selection
from storage.errors import ConfigError


def select_episodes(dataset: Path, name: str, policy: SelectionPolicy) -> Selection:
    """Make the selection `name` of a data set from its verdicts and from what people decided, and write it."""
    selection = make_selection(Dataset.open(dataset).root, name, policy, people=people_of(dataset))
    write_selection(dataset, selection)
    Dataset.open(dataset, selection=name)  # its labels are there, or it says which are not
    return selection


def selection_info(selection: Selection) -> dict[str, Any]:
    """Counts of a selection, for machines."""
    return {
        "name": selection.name,
        "kept": len(selection.episodes),
        "rejected": len(selection.rejected),
        "unjudged": len(selection.unjudged),
        "rejected_by": selection.reasons(),
    }


def selection_text(selection: Selection) -> str:
    """Counts of a selection, for people."""
    found = selection_info(selection)
    lines = [f"selection {selection.name!r}: {found['kept']} kept, {found['rejected']} rejected"]
    lines += [f"  {judge:20} rejects {count}" for judge, count in selection.reasons().items()]
    if selection.unjudged:
        lines.append(f"  {found['unjudged']} unjudged: neither kept nor rejected; run the same `pyramid filter` again")
    return "\n".join(lines)


def thresholds_of(texts: Sequence[str]) -> dict[str, float]:
    """{"frozen": 1.5} from ["frozen=1.5"]; raises ConfigError."""
    found = {}
    for text in texts:
        judge, _, number = text.partition("=")
        try:
            found[judge] = float(number)
        except ValueError:
            raise ConfigError(f"a threshold is JUDGE=NUMBER, such as frozen=1.5; got {text!r}") from None
    return found


def share_of(text: str) -> float:
    """A share in 0..1 from "10%" or "0.1"; raises ConfigError."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ConfigError(f"a share is a number such as 0.1 or 10%; got {text!r}") from None
