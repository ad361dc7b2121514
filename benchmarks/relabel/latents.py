"""Latent actions of a camera that moves alone, told from those of a body that moves: by the label of the camera's
motion that the job stores, and by the latents themselves.

    python -m benchmarks relabel_latents

Seconds of clips in which a robot works before a still camera, against the first frame of each as a camera that turns
sees it (a homography along a path, with the noise of a sensor). Latents are those of the starter, forced.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import measure
from benchmarks.relabel.camera import _auroc, _clips, _measured, _panned
from judges.curation.frame_measures import Measures
from lapa.labelling.camera_share import HEAD_TURNED, camera_share
from lapa.labelling.encode_clip import encode_video
from lapa.labelling.label_config import model_folder
from lapa.labelling.saved_model import LapaModel, load_lapa
from storage.episode import Episode
from storage.frames import Frames

STEPS, LATER = 25, 15
RATE_HZ = 25.0


def run(quick: bool) -> dict[str, Any]:
    """AUROC of pairs 0.6 s apart, and how many of each kind the labeller would flag."""
    torch.set_num_threads(1)
    clips = list(_clips(60 if quick else 150))
    random = np.random.default_rng(0)
    model = load_lapa(model_folder("starter"))
    kinds: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float32], int]]] = {"camera": [], "body": []}
    for number, clip in enumerate(clips):
        for first in range(0, len(clip) - STEPS, STEPS):
            kinds["body"].append((*_seen(model, clip[first : first + STEPS]), number))
            kinds["camera"].append((*_seen(model, _panned(clip[first], random)), number))
    shares = {name: np.concatenate([each[0] for each in seen]) for name, seen in kinds.items()}
    finite = {name: np.where(np.isfinite(each), each, -99.0) for name, each in shares.items()}
    figures = {
        "pairs of each kind": float(len(shares["body"])),
        "AUROC by the label of the camera's motion": _auroc(finite["camera"].tolist(), finite["body"].tolist()),
        "flagged, the camera alone": float((shares["camera"] >= HEAD_TURNED).mean()),
        "flagged, the body alone": float((shares["body"] >= HEAD_TURNED).mean()),
        "AUROC by a linear readout of the latents, unseen clips": _readout(kinds),
    }
    bars = {"AUROC by the label of the camera's motion": {"at_least": 0.9}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _seen(model: LapaModel, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Share of the camera (P,) and latents (P, C x D) of the pairs of a second of video."""
    episode = _episode(images, _measured(images))
    later = np.where(np.arange(STEPS) + LATER < STEPS, np.arange(STEPS) + LATER, -1)
    read = encode_video(model.network, episode.cameras["view"], later)
    return camera_share(episode, later)[read.pairs], read.latents.latent


def _episode(images: NDArray[np.uint8], measures: Measures) -> Episode:
    """The second as the job stores it."""
    return Episode(
        episode_id="second",
        layer="human",
        embodiment="human",
        length=len(images),
        rate_hz=RATE_HZ,
        instruction="",
        cameras={"view": Frames.encode(images)},
        arrays={
            "label/valid/camera_motion": measures.camera_valid,
            "label/motion": np.column_stack([measures.camera_speed, measures.residual]),
        },
    )


def _readout(kinds: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float32], int]]]) -> float:
    """AUROC of logistic regression on latents, each clip judged by a readout that has not seen it."""
    latents = np.concatenate([each[1] for seen in kinds.values() for each in seen])
    truth = np.concatenate([np.full(len(each[1]), name == "camera") for name, seen in kinds.items() for each in seen])
    clip = np.concatenate([np.full(len(each[1]), each[2]) for seen in kinds.values() for each in seen])
    scores = np.zeros(len(truth))
    for learn, judge in GroupKFold(n_splits=min(8, len(set(clip.tolist())))).split(latents, truth, clip):
        readout = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        scores[judge] = readout.fit(latents[learn], truth[learn]).decision_function(latents[judge])
    return _auroc(scores[truth].tolist(), scores[~truth].tolist())
