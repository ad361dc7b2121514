"""`pyramid relabel`: a folder of videos in, a data set with clips, labels, verdicts and a selection out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.engines.options import EngineOptions
from workflows.commands.options import DatasetOutput, DryRun, folder_for, with_engine
from workflows.recipes.run_context import RunContext

RECIPE = "relabel_human_video"


def add_to(app: typer.Typer) -> None:
    app.command()(relabel)


@with_engine
def relabel(
    source: Annotated[str, typer.Argument(help="A video, or a folder with videos.", metavar="INPUT")],
    options: EngineOptions,
    output: DatasetOutput = "",
    recipe: Annotated[str, typer.Option(help="A YAML file, or the name of a shipped recipe.")] = RECIPE,
    layout: Annotated[str, typer.Option(help="How the data set lies: auto, folder, ego4d, egodex, ...")] = "auto",
    captioner: Annotated[str, typer.Option(help="A vision-language model: clips without a text get one.")] = "",
    server: Annotated[str, typer.Option(help="URL of the server that has the captioner.")] = "",
    detector: Annotated[str, typer.Option(help="A zero-shot detector: boxes of the instruction's object.")] = "",
    embodiment: Annotated[str, typer.Option(help="The robot in the videos, where it is one.")] = "",
    idm: Annotated[str, typer.Option(help="A model that labels the robot's actions: a folder, or starter.")] = "",
    latents: Annotated[str, typer.Option(help="The model of latent actions.")] = "starter",
    cuts: Annotated[str, typer.Option(help="What finds cuts: ours, pyscenedetect or transnetv2.")] = "",
    cut_weights: Annotated[str, typer.Option(help="The folder with the weights of TransNetV2.")] = "",
    poses: Annotated[str, typer.Option(help="A folder of 3-D hands that a lifter wrote, one file a video.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Turn videos without actions into training data. Running it again goes on where it stopped."""
    from workflows.recipes.recipe import find_recipe, load_recipe
    from workflows.recipes.run_recipe import describe_recipe, run_recipe

    _refuse_unknown_robot(idm, embodiment)
    _refuse_missing(latents=latents, idm=idm, detector=detector, captioner="" if server else captioner)
    given = {"CAPTION_MODEL": captioner, "CAPTION_SERVER": server, "DETECTOR_MODEL": detector, "HAND_POSES": poses}
    given |= {"IDM_MODEL": idm, "VIDEO_EMBODIMENT": embodiment, "VIDEO_LAYER": "real" if embodiment else ""}
    given |= {"CUT_FINDER": cuts, "CUT_WEIGHTS": cut_weights and str(Path(cut_weights).expanduser().absolute())}
    variables = {"INPUT": str(Path(source).expanduser().absolute()), "DATASET_LAYOUT": layout, "LATENT_MODEL": latents}
    variables |= {name: value for name, value in given.items() if value}
    loaded = load_recipe(find_recipe(recipe), output=str(folder_for(output, source)), variables=variables)
    context = RunContext(root=Path(loaded.output), seed=loaded.seed, options=options)
    if dry_run:
        print(describe_recipe(loaded, context))
        return
    for line in run_recipe(loaded, context):
        print(line, flush=True)


def _refuse_missing(**models: str) -> None:
    """Raise MissingFileError for a folder of a model that is not there, before hours of video are looked at."""
    from storage.errors import MissingFileError

    for option, model in models.items():
        if model not in ("", "starter") and not Path(model).expanduser().is_dir():
            raise MissingFileError(f'--{option} {model} is not there; expected the folder of a model, or "starter"')


def _refuse_unknown_robot(idm: str, embodiment: str) -> None:
    from storage.errors import ConfigError

    if idm and not embodiment:
        raise ConfigError("--idm labels video of a robot; --embodiment says which robot it is, such as panda")
