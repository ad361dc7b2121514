"""Making selections: what `pyramid data select`, `pyramid filter` and recipes share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from judges.reviewed_captions import captions_of
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.ids import content_id
from storage.verdicts.reviews import people_of
from storage.verdicts.selection import Selection, SelectionPolicy, make_selection, write_selection


def select_episodes(dataset: Path, name: str, policy: SelectionPolicy) -> Selection:
    """Make the selection `name` of a data set from its verdicts and from what people decided, and write it. Captions
    that people edited become labels that go with it."""
    labels = (*policy.labels, *edited_captions(dataset))
    policy = replace(policy, labels=labels)
    selection = make_selection(Dataset.open(dataset).root, name, policy, people=people_of(dataset))
    write_selection(dataset, selection)
    Dataset.open(dataset, selection=name)  # its labels are there, or it says which are not
    return selection


def edited_captions(root: Path) -> tuple[str, ...]:
    """The sidecar with the captions that people edited, made now unless it is there; none where nobody edited any."""
    captions = captions_of(root)
    if not captions:
        return ()
    written = content_id(sorted(captions.items()))[:12]
    name, dataset = f"review-{written}", Dataset.open(root)
    units = [dataset.index.units[dataset.index.unit_of_row[dataset.index.row_of_episode[each]]] for each in captions]
    job = Job(
        name=f"captions-{name}",
        stages=(("read_unit", {}), ("reviewed_captions", {"captions": written})),
        units=label_units(dataset, sorted(set(units))),
        sink=f"labels/{name}",
        provides=fields_of(dataset, sorted(set(units))),
    )
    run_job(root, job)
    return (name,)


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
    about = selection_info(selection)
    lines = [f"selection {selection.name!r}: {about['kept']} kept, {about['rejected']} rejected"]
    lines += [f"  {judge:20} rejects {count}" for judge, count in selection.reasons().items()]
    if selection.unjudged:
        lines.append(f"  {about['unjudged']} unjudged: neither kept nor rejected; run the same `pyramid filter` again")
    return "\n".join(lines)


def thresholds_of(texts: Sequence[str]) -> dict[str, float]:
    """{"frozen": 1.5} from ["frozen=1.5"]; raises ConfigError."""
    thresholds = {}
    for text in texts:
        judge, _, number = text.partition("=")
        try:
            thresholds[judge] = float(number)
        except ValueError:
            raise ConfigError(f"a threshold is JUDGE=NUMBER, such as frozen=1.5; got {text!r}") from None
    return thresholds


def share_of(text: str) -> float:
    """A share in 0..1 from "10%" or "0.1"; raises ConfigError."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ConfigError(f"a share is a number such as 0.1 or 10%; got {text!r}") from None
