"""The page of a relabel job: hours in, hours kept, why not the rest, and clips with what is known drawn on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from storage.atomic_files import write_whole
from storage.datasets.dataset import Dataset
from storage.datasets.unit_paths import sinks_of
from storage.episode import Episode
from storage.errors import InputError
from storage.verdicts.selection import selection_names
from workflows.relabel_report.collect import collect
from workflows.relabel_report.draw import curves, drawn_clip


@dataclass(frozen=True, kw_only=True)
class RelabelReportStep:
    """`gallery` clips are drawn and embedded. `selection` says what counts as kept."""

    gallery: int = 12
    selection: str = "good"
    output: str = ""

    def __post_init__(self) -> None:
        if self.gallery < 0:
            raise InputError(f"gallery is a number of clips, 0 or more; got {self.gallery}")


def write_relabel_report(root: Path, config: RelabelReportStep) -> Path:
    """Write the page for the data set in `root` and return its path (relabel.html in the data set by default)."""
    relabelled = collect(root, config.selection)
    labels = tuple(sink.name.removeprefix("labels/") for sink in sinks_of(root) if sink.is_labels)
    chosen = config.selection if config.selection in selection_names(root) else ""
    dataset = Dataset.open(root, labels=labels, selection=chosen)
    texts = dataset.instructions()[dataset.selected_rows()].tolist()
    gallery = [_card(episode) for episode in _spread(dataset, config.gallery)]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text())
    target = Path(config.output) if config.output else root / "relabel.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(
        target,
        template.render(name=dataset.name, about=relabelled, gallery=gallery, labels=labels, texts=texts).encode(),
    )
    return target


def _spread(dataset: Dataset, count: int) -> Iterator[Episode]:
    """`count` clips, evenly over the data set."""
    names, chosen = dataset.index.table["episode_id"].to_pylist(), dataset.selected_rows()
    ids = [name for name, wanted in zip(names, chosen, strict=True) if wanted]
    places = sorted({int(place * len(ids) / count) for place in range(count)}) if ids and count else []
    yield from (dataset.episode(ids[place]) for place in places)


def _card(episode: Episode) -> dict[str, Any]:
    source = episode.provenance.get("source", {})
    return {
        "episode_id": episode.episode_id,
        "instruction": episode.instruction,
        "original": episode.original_instruction,
        "file": source.get("file", ""),
        "start_s": f"{source.get('start_s', 0.0):.1f}",
        "seconds": f"{episode.duration_s:.1f}",
        "frames": source.get("frames", "copy"),
        "clip": drawn_clip(episode),
        "curves": curves(episode),
    }
