"""A folder of mp4 files gets latent actions: import, label, and look at what came out.

    python examples/label_video_folder.py CLIPS OUTPUT

The same by the command line:

    pyramid data import CLIPS --output OUTPUT --layer human
    pyramid label lapa OUTPUT --model starter --force

The starter saw robots. Clips that it does not understand are refused; `force` labels them all the same, flagged. For
labels that are worth something fit a model to video like yours: `pyramid fit lapa`.
"""

import sys
from pathlib import Path

from storage.datasets.dataset import Dataset
from workflows.recipes.run_context import RunContext
from workflows.steps import STEPS
from workflows.steps.import_data import ImportStep
from workflows.steps.label import LabelStep


def main(clips: Path, output: Path) -> None:
    context = RunContext(root=output)
    print(STEPS["import"].run(context, ImportStep(name="clips", path=str(clips), layer="human")))
    print(STEPS["label"].run(context, LabelStep(kind="lapa", model="starter", settings={"force": True})))
    labelled = Dataset.open(output, labels=("lapa",))
    for episode in labelled.episodes():
        latent, valid = episode.arrays["action/latent"], episode.arrays["label/valid/latent"]
        there = int(valid.sum())
        print(f"{episode.episode_id}: {episode.length} frames, {there} with a latent action of {latent.shape[1]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
