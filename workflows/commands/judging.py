"""`pyramid filter | review` and `pyramid evaluate judge`: what is kept, why, and what a clip really shows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import Folder, folder_for, with_engine
from workflows.recipes.run_context import RunContext

Best = Annotated[str, typer.Option(help="At most this share of the clips, such as 10%, the best by the model's score.")]


def add_to(app: typer.Typer, evaluate: typer.Typer) -> None:
    app.command("filter")(filter_)
    app.command()(review)
    evaluate.command("judge")(evaluate_judge)


@with_engine
def filter_(
    source: Annotated[Path, typer.Argument(help="A folder of videos with captions, or a data set.", metavar="INPUT")],
    options: EngineOptions,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder of the data set; INPUT itself where it is one.")
    ] = "",
    judge: Annotated[
        str, typer.Option(help='"rules" alone, "starter", a folder of weights, or MODEL@http://host:port/v1.')
    ] = "rules",
    name: Annotated[str, typer.Option(help="Name of the selection.")] = "good",
    keep_best: Best = "100%",
    threshold: Annotated[list[str] | None, typer.Option(help="JUDGE=NUMBER in place of its own; repeat.")] = None,
    recaption: Annotated[bool, typer.Option(help="Caption anew what does not follow its instruction.")] = True,
    longest_s: Annotated[float, typer.Option(help="Videos longer than that are rejected unread.")] = 120.0,
    captions_in_names: Annotated[
        bool, typer.Option(help="Instructions are in file names: 3_pick_up_the_cup.mp4.")
    ] = False,
    captions: Annotated[str, typer.Option(help="Name of the jsonl file with captions.")] = "",
    caption_key: Annotated[str, typer.Option(help="The key of the text in it.")] = "",
    embodiment: Annotated[str, typer.Option(help="Embodiment of the clips.")] = "",
    layer: Annotated[str, typer.Option(help="real, simulation, neural or human; neural by default.")] = "",
    config: Annotated[Path | None, typer.Option(help="YAML file with settings of the model's stage.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the jobs.")] = 0,
) -> None:
    """Judge clips: verdicts, a selection, reasons for the rest, true captions. Running it again goes on."""
    from storage.verdicts.selection import SelectionPolicy
    from workflows.datasets.selecting import share_of, thresholds_of
    from workflows.judging.filtering import FilterConfig, run_filter
    from workflows.models.fit_and_evaluate import settings_from

    best = share_of(keep_best)
    policy = SelectionPolicy(
        thresholds=thresholds_of(threshold or []), keep_best=best, best_by="instruction" if best < 1 else ""
    )
    wanted: dict[str, Any] = {"captions_in_names": captions_in_names, "embodiment": embodiment, "layer": layer}
    wanted |= {"captions_file": captions, "caption_key": caption_key}
    chosen = FilterConfig(
        source=source,
        model="" if judge == "rules" else judge,
        name=name,
        recaption=recaption,
        policy=policy,
        longest_s=longest_s,
        settings=settings_from(config),
        **wanted,
    )
    root = source if not output and (source / "dataset.json").is_file() else folder_for(output, str(source))
    for line in run_filter(RunContext(root=root, seed=seed, options=options), chosen):
        print(line, flush=True)


def review(
    dataset: Folder,
    selection: Annotated[str, typer.Option(help="The selection that is reviewed.")] = "good",
    port: Annotated[int, typer.Option(help="Port of the page; 0: any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than loopback needs the token in the URL.")
    ] = "127.0.0.1",
) -> None:
    """Look through kept and rejected clips in a browser, and accept or overrule what the judges said."""
    from workflows.review.server import serve_review

    serve_review(dataset, selection=selection, host=host, port=port)


def evaluate_judge(
    dataset: Folder,
    judge: Annotated[str, typer.Option(help="The judge whose verdicts are measured.")] = "instruction",
    truth: Annotated[
        str, typer.Option(help='"people" (the review\'s decisions), or another judge, such as simulation.')
    ] = "people",
    precision: Annotated[
        float, typer.Option(help="Find the threshold at which this share of what is kept is right.")
    ] = 0.95,
    bias: Annotated[
        str,
        typer.Option(help="Ask this model (as filter's --judge) about accepted clips that are made wrong on purpose."),
    ] = "",
    clips: Annotated[int, typer.Option(min=1, help="With --bias: how many clips are asked about.")] = 40,
    config: Annotated[
        Path | None, typer.Option(help="With --bias: YAML file with settings of the model's stage.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the figures.")] = Path("judge.json"),
) -> None:
    """Hold a judge's verdicts against people's decisions or simulated truth: accuracy, AUROC, kappa, calibration.

    With --bias: does a model refuse clips with another instruction, reversed, frozen or painted over?"""
    if bias:
        from workflows.judging.judge_bias import measure_bias
        from workflows.models.fit_and_evaluate import settings_from

        print(measure_bias(dataset, model=bias, settings=dict(settings_from(config)), clips=clips, output=output))
        return
    from workflows.judging.judge_calibration import calibrate_judge

    print(calibrate_judge(dataset, judge=judge, truth=truth, precision=precision, output=output))
