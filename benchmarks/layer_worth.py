"""What each layer of the pyramid is worth: image policies of the shared model, the same number of steps for every row.

    python -m benchmarks.layer_worth FOLDER --task lift            # every row, five seeds: many hours on two cores
    python -m benchmarks.layer_worth FOLDER --task lift --rows real simulated-200 --seeds 1 --steps 1000
    python -m benchmarks.layer_worth FOLDER --task lift --table    # only what is there, and its picture

All rows start from the same ten demonstrations (layer `real`) and are rolled out in the same scenes, which no training
saw. Every fit and every roll-out is a command; what is finished is not done again, so it may be stopped anywhere.
Neural rows need a video model that knows the task (`--rows` without them otherwise).
"""

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.layer_data import PLACEMENT, PLAYED_TRIES, Layers, pyramid
from benchmarks.layer_table import as_markdown, draw, read_rows

Source = dict[str, Any]
SMALL_SHARE = {"neural": 0.19}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One mixture. `sources` makes its data. With `pretrain` latents of action-less video are trained on too in the
    first half of the steps. `confidence`, `layer_weights` and `model` as in a recipe."""

    shows: str
    sources: Callable[[Layers], list[Source]]
    confidence: str = "off"
    layer_weights: Mapping[str, float] = field(default_factory=dict)
    model: Mapping[str, float] = field(default_factory=dict)
    pretrain: bool = False


def _real(layers: Layers) -> list[Source]:
    return [{"dataset": str(layers.real())}]


def _simulated(count: int) -> Callable[[Layers], list[Source]]:
    return lambda layers: [*_real(layers), {"dataset": str(layers.simulated(count))}]


def _labelled(made: Callable[[Layers], Path], **chosen: Any) -> Callable[[Layers], list[Source]]:
    """The demonstrations and what is `made`, of which predicted actions are taken."""
    return lambda layers: [*_real(layers), _predicted(made(layers), **chosen)]


def _works(tries: int) -> Callable[[Layers], list[Source]]:
    def sources(layers: Layers) -> list[Source]:
        played = [_predicted(folder, selection="works", same_head=True) for folder in layers.played(tries=tries)]
        return [*_real(layers), *played]

    return sources


def _predicted(dataset: Path, **chosen: Any) -> Source:
    return {"dataset": str(dataset), "labels": ["idm"], "kinds": ["predicted"], **chosen}


_DREAMS = _labelled(Layers.dreamed, selection="good", same_head=True)
_SHUFFLED = _labelled(Layers.shuffled, labels=[], same_head=True)
ROWS: Mapping[str, Row] = {
    "real": Row(shows="real alone", sources=_real),
    "real-boxes": Row(
        shows="real alone, and the loss of where the cube is",
        sources=lambda layers: [{"dataset": str(layers.boxed()), "labels": ["boxes"]}],
        model={"detection_weight": 1.0},
    ),
    "simulated-200": Row(shows="what multiplied simulation is worth", sources=_simulated(200)),
    "simulated-1000": Row(shows="and more of it", sources=_simulated(1000)),
    "dreams": Row(
        shows="what neural trajectories with predicted actions are worth",
        sources=_labelled(Layers.dreamed, selection="good"),
    ),
    "true-video": Row(
        shows="the same labels on true video of the simulator in place of generated: the ceiling of dreams",
        sources=_labelled(Layers.true_video),
    ),
    "dreams-same-head": Row(
        shows="neural trajectories whose predicted actions train the head of recorded ones",
        sources=_DREAMS,
    ),
    "dreams-unfiltered": Row(
        shows="the same, whatever the judges say", sources=_labelled(Layers.dreamed, same_head=True)
    ),
    "dreams-confidence": Row(
        shows="the same weighted by the labels' confidence",
        sources=_DREAMS,
        confidence="weighted",
    ),
    "dreams-shuffled": Row(
        shows="every clip with the labels of another: what the pictures alone are worth",
        sources=_SHUFFLED,
        confidence="weighted",
    ),
    "dreams-share": Row(
        shows="those clips with as small a share of the stream as their confidences say",
        sources=_DREAMS,
        confidence="share",
    ),
    "dreams-judged": Row(
        shows="and of these those that the starter judge accepts",
        sources=_labelled(Layers.judged, selection="judged", same_head=True),
        confidence="share",
    ),
    "dreams-small-share": Row(
        shows="a share of a fifth, whatever confidences say",
        sources=_DREAMS,
        layer_weights=SMALL_SHARE,
    ),
    "dreams-shuffled-small-share": Row(
        shows="every clip with the labels of another, at that share",
        sources=_SHUFFLED,
        layer_weights=SMALL_SHARE,
    ),
    "dreams-played": Row(
        shows="the same of those dreams whose predicted actions solve the task when they are played",
        sources=_works(1),
    ),
    "dreams-played-often": Row(
        shows=f"and of those of {PLAYED_TRIES} dreams of every scene",
        sources=_works(PLAYED_TRIES),
    ),
    "true-video-same-head": Row(
        shows="the ceiling of that",
        sources=_labelled(Layers.true_video, same_head=True),
    ),
    "true-one-camera": Row(
        shows="what is left of it without the camera at the wrist and the state, which dreams do not have",
        sources=_labelled(Layers.true_one_camera, same_head=True),
    ),
    "true-as-dreams": Row(
        shows="and of clips as small and slow as dreams are",
        sources=_labelled(Layers.true_as_dreams, same_head=True),
    ),
    "true-as-dreams-confidence": Row(
        shows="the same weighted by the labels' confidence",
        sources=_labelled(Layers.true_as_dreams, same_head=True),
        confidence="weighted",
    ),
    "latents": Row(shows="what action-less video is worth", sources=_real, pretrain=True),
}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The same for every row: training steps, and scenes of the roll-outs."""

    steps: int = 3000
    scenes: int = 50


def outcome(folder: Path, layers: Layers, name: str, seed: int, budget: Budget) -> dict[str, Any]:
    """Successes of one policy, trained and rolled out unless that is done."""
    home = folder / f"{name}-{seed}-{budget.steps}"
    figures_file = home / "roll-outs" / "success.json"
    if not figures_file.exists():
        row = ROWS[name]
        home.mkdir(parents=True, exist_ok=True)
        initial = _fit(home / "pretrained", _pretraining(layers), seed, budget.steps // 2) if row.pretrain else None
        steps = budget.steps - budget.steps // 2 if row.pretrain else budget.steps
        policy = _fit(home / "policy", _mixture(row, layers), seed, steps, initial=initial, model=row.model)
        where = ("--task", layers.task, "--placement", PLACEMENT, "--scenes", str(budget.scenes))
        pyramid("evaluate", "groot", str(policy), *where, "--output", str(home / "roll-outs"))
    read: dict[str, Any] = json.loads(figures_file.read_text())
    return read


def _mixture(row: Row, layers: Layers) -> dict[str, Any]:
    """Post-training; layers share the stream 1:1, as in GR00T N1."""
    return {
        "stage": "posttrain",
        "balance": "layers",
        "confidence": row.confidence,
        "layer_weights": dict(row.layer_weights),
        "sources": row.sources(layers),
    }


def _pretraining(layers: Layers) -> dict[str, Any]:
    """Latents and the demonstrations together: the heads are those of the post-training that follows."""
    latents = {"dataset": str(layers.actionless()), "labels": ["lapa"], "kinds": ["latent"]}
    return {"stage": "pretrain", "sources": [*_real(layers), latents]}


def _fit(
    output: Path,
    mixture: dict[str, Any],
    seed: int,
    steps: int,
    *,
    initial: Path | None = None,
    model: Mapping[str, float] | None = None,
) -> Path:
    recipe = {
        "preset": "starter",
        "held_out_share": 0.0,
        "mixture": mixture,
        "fit": {"steps": steps, "seed": seed, "save_every": 250, "log_every": 50},
        **({"initial": str(initial)} if initial else {}),
        **({"model": dict(model)} if model else {}),
    }
    output.mkdir(parents=True, exist_ok=True)
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe))
    if not (output / "card.json").exists():
        pyramid("fit", "groot", "--recipe", str(path), "--output", str(output), "--roll-outs", "0")
    return output


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer_worth", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task", default="lift")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=Budget.steps)
    parser.add_argument("--scenes", type=int, default=Budget.scenes)
    parser.add_argument("--table", action="store_true", help="train nothing, show what is there")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = given.folder / given.task
    layers, budget = Layers(root=folder / "data", task=given.task), Budget(steps=given.steps, scenes=given.scenes)
    for seed in () if given.table else range(given.seeds):
        for name in given.rows:
            figures = outcome(folder, layers, name, seed, budget)
            logging.info("%s, seed %d: %d of %d", name, seed, figures["successes"], figures["scenes"])
    rows = read_rows(folder, {name: row.shows for name, row in ROWS.items()}, steps=given.steps)
    print(as_markdown(rows))
    draw(rows, folder / "layer_worth.png", title=f"{given.task}, {PLACEMENT}, {given.steps} steps a row")


if __name__ == "__main__":
    main()
