"""`pyramid data ...`: look at data sets, check them, join and part them, bring them in and out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import AsJson, Folder, with_engine

app = typer.Typer(
    help="Look at data sets, check them, join and part them, bring them in and out.", no_args_is_help=True
)
Chosen = Annotated[str, typer.Option(help="Only the episodes of this selection.")]


@app.command()
def info(
    dataset: Folder,
    episode: Annotated[str, typer.Option(help="Show everything about one episode.")] = "",
    selection: Chosen = "",
    as_json: AsJson = False,
) -> None:
    """What a data set holds, by layer and embodiment; or one episode with its provenance."""
    from storage.datasets.dataset import Dataset
    from workflows.datasets.dataset_info import dataset_info, episode_info, info_text

    opened = Dataset.open(dataset, selection=selection)
    about = episode_info(opened, episode) if episode else dataset_info(opened)
    print(json.dumps(about) if as_json else info_text(about))


@app.command()
def verify(dataset: Folder, as_json: AsJson = False) -> None:
    """Check every checksum and every count: flipped bytes, truncated files, missing shards, orphans."""
    from storage.errors import CorruptFileError
    from storage.verification.verify import verify as verify_dataset

    findings = verify_dataset(dataset)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], default=str))
    else:
        for finding in findings:
            print(finding)
    if findings:
        raise CorruptFileError(
            f"{dataset}: {len(findings)} findings; each is named above with the command that mends it"
        )
    if not as_json:
        print(f"{dataset}: every checksum and every count holds")


@app.command()
@with_engine
def repair(
    dataset: Folder,
    options: EngineOptions,
    again: Annotated[bool, typer.Option(help="Make what was taken out again, as `pyramid resume` does.")] = True,
) -> None:
    """Take out what `verify` finds damaged, and make it again. What is taken out is kept in DATASET/damaged."""
    from storage.errors import CorruptFileError
    from workflows.datasets.repair import repair_and_resume

    done, left = repair_and_resume(dataset, options, again=again)
    print(f"{dataset}: took out {len(done.units)} units, {len(done.files)} small files and indices")
    for finding in left:
        print(finding)
    if left:
        raise CorruptFileError(f"{dataset}: {len(left)} findings are left; each is named above with what mends it")


@app.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Data sets to join.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new data set.")],
) -> None:
    """Join data sets: the union of their manifests; shards are linked or copied, never rewritten."""
    from storage.datasets.merge import merge as merge_datasets

    merged = merge_datasets(sources, output, name=output.name)
    print(f"{output}: {len(merged)} episodes in {len(merged.units())} shards")


@app.command()
def split(
    dataset: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets one data set for each part.")],
    parts: Annotated[list[str], typer.Option("--part", help="NAME=SHARE, such as train=0.9; repeat.")],
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Part a data set by episode, the same way every time."""
    from storage.datasets.split import split as split_dataset

    shares = {output / name: share for name, share in _shares(parts).items()}
    for folder, episodes in split_dataset(dataset, shares, seed=seed).items():
        print(f"{folder}: {episodes} episodes")


def _shares(parts: list[str]) -> dict[str, float]:
    try:
        return {name: float(share) for name, _, share in (part.partition("=") for part in parts)}
    except ValueError:
        raise typer.BadParameter(f"a part is NAME=SHARE, such as train=0.9; got {parts}") from None


@app.command()
def clean(
    dataset: Folder, older_than_s: Annotated[float, typer.Option(help="Leave what is younger.")] = 3600.0
) -> None:
    """Remove what dead attempts left behind. Committed units are never touched."""
    from storage.datasets.clean import clean as clean_dataset

    removed = clean_dataset(dataset, older_than_s=older_than_s)
    print(*(f"removed {path}" for path in removed), sep="\n")
    print(f"{len(removed)} leftovers removed")


@app.command()
def stats(dataset: Folder, as_json: AsJson = False) -> None:
    """Merge the statistics of all shards and write them to statistics/merged.json."""
    from storage.datasets.dataset import Dataset
    from storage.datasets.merged_statistics import merged_statistics, write_merged_statistics
    from workflows.datasets.dataset_info import statistics_text

    opened = Dataset.open(dataset)
    written = write_merged_statistics(opened)
    print(written.read_text() if as_json else statistics_text(merged_statistics(opened)))


@app.command()
def export(
    dataset: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder or file to write; must not exist.")],
    format: Annotated[
        Literal["lerobot", "lerobot-v3", "robomimic", "groot-n1.5", "groot-n1.6", "groot-n1.7"],
        typer.Option(help="lerobot: v2.1; lerobot-v3: v3.0; groot-...: v2.1 and what that trainer wants beside it."),
    ] = "lerobot",
    labels: Annotated[list[str] | None, typer.Option("--labels", help="Sidecars to export too; repeat.")] = None,
    embodiment: Annotated[str, typer.Option(help="Only episodes of this embodiment.")] = "",
    selection: Chosen = "",
    embodiment_tag: Annotated[str, typer.Option(help="GR00T's embodiment tag, where it is not a new one.")] = "",
) -> None:
    """Write a data set in a foreign format, under the keys and names of its source."""
    from workflows.datasets.export import export_dataset, unasked_labels

    joined = tuple(labels or ())
    chosen = {"embodiment": embodiment, "selection": selection, "tag": embodiment_tag}
    report = export_dataset(dataset, output, kind=format, labels=joined, **chosen)
    print(f"exported {report.episodes} episodes, {report.steps} steps to {', '.join(map(str, report.paths))}")
    for name, count in report.left_out.items():
        why = "" if "label" in name else ", for the format has no place for it"
        print(f"left out{why}: {name} ({count})")
    if unasked := unasked_labels(dataset, joined, selection):
        print(f"not asked for: labels {', '.join(unasked)}; --labels NAME takes a sidecar along, repeat it for more")


@app.command()
def select(
    dataset: Folder,
    name: Annotated[str, typer.Option(help="Name of the selection; one of that name is replaced.")] = "good",
    judge: Annotated[list[str] | None, typer.Option(help="Only this judge counts; repeat. All by default.")] = None,
    threshold: Annotated[list[str] | None, typer.Option(help="JUDGE=NUMBER in place of its own; repeat.")] = None,
    unsure: Annotated[Literal["keep", "reject"], typer.Option(help="What becomes of an unsure verdict.")] = "reject",
    keep_best: Annotated[str, typer.Option(help="At most this share of the data set, such as 10%.")] = "100%",
    best_by: Annotated[str, typer.Option(help="The judge whose score ranks for --keep-best.")] = "",
    labels: Annotated[list[str] | None, typer.Option(help="Sidecars that go with it, such as recaption.")] = None,
    as_json: AsJson = False,
) -> None:
    """Choose episodes by the verdicts there are: thresholds move, no model runs, nothing is lost."""
    from storage.verdicts.selection import SelectionPolicy
    from workflows.datasets.selecting import select_episodes, selection_info, selection_text, share_of, thresholds_of

    policy = SelectionPolicy(
        judges=tuple(judge or ()),
        thresholds=thresholds_of(threshold or []),
        unsure=unsure,
        keep_best=share_of(keep_best),
        best_by=best_by,
        labels=tuple(labels or ()),
    )
    selection = select_episodes(dataset, name, policy)
    print(json.dumps(selection_info(selection)) if as_json else selection_text(selection))
