"""What the starter makes of people whom it never saw: the gates, what the latent says of hands, and how much of it is
the head's own motion."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.lapa.clips import health_figures
from lapa.evaluation.linear_probe import fit_probe
from lapa.fitting.clips import LapaClip
from lapa.fitting.health import Gates, measure, spread_steps
from lapa.fitting.targets import motion_of
from lapa.labelling.encode_clip import encode_clip
from lapa.network.model import LatentActionModel
from storage.labelling.scores import r_squared

PAIRS = 4096
MOTIONS = {
    "turning": ("camera_rotation",),
    "way": ("camera_position",),
    "hands": ("right_wrist_position", "left_wrist_position"),
}
Rows = NDArray[np.float32]


def people_figures(
    model: LatentActionModel, known: Sequence[LapaClip], new: Sequence[LapaClip]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Figures of `new` takes, with the bars of `Gates`. Probes and shares are linear, fitted on `known` takes."""
    health = measure(model, new, pairs=PAIRS)
    figures = {f"people: {name}": value for name, value in health_figures(health).items()}
    learn, judge = (_Rows.of(model, each) for each in (known, new))
    figures |= {
        "people: R2 of the head's turning by the latent": _explained(learn, judge, "latent", "turning"),
        "people: R2 of the head's way by the latent": _explained(learn, judge, "latent", "way"),
        "people: R2 of the hands' motion in the camera by the latent": _explained(learn, judge, "latent", "hands"),
        "people: share of the latent's variance that the head's motion explains": _share(
            learn, judge, ("turning", "way")
        ),
        "people: share that the hands' motion in the camera explains": _share(learn, judge, ("hands",)),
        "people: share that both explain": _share(learn, judge, ("turning", "way", "hands")),
    }
    gates = Gates()
    bars: dict[str, dict[str, float]] = {
        "people: codes used": {"at_least": gates.used_share},
        "people: perplexity over codebook": {"at_least": gates.perplexity_share},
        "people: reconstruction over copying": {"at_most": gates.reconstruction},
        "people: error to the future over that to the present": {"at_most": 1.0},
        "people: endpoint swap": {"at_least": gates.swap},
        "people: S-PCFC": {"at_most": gates.static_cosine},
    }
    return figures, bars


class _Rows:
    """Pairs of some takes: `values` by name (P, N), and the take of each pair (P,)."""

    def __init__(self, values: Mapping[str, Rows], takes: NDArray[np.int64]) -> None:
        self.values, self.takes = values, takes

    @classmethod
    def of(cls, model: LatentActionModel, clips: Sequence[LapaClip]) -> "_Rows":
        parts: dict[str, list[Rows]] = {"latent": [], **{name: [] for name in MOTIONS}}
        takes = []
        for number, (clip, steps) in enumerate(zip(clips, spread_steps(clips, PAIRS), strict=True)):
            parts["latent"].append(encode_clip(model, clip, steps).latent)
            for name, of in MOTIONS.items():
                motion = motion_of(clip, steps, parts=of)
                assert motion is not None
                parts[name].append(motion.values)
            takes.append(np.full(len(steps), number))
        return cls({name: np.concatenate(each) for name, each in parts.items()}, np.concatenate(takes))


def _explained(learn: _Rows, judge: _Rows, features: str, wanted: str) -> float:
    """Mean R2 of the numbers of `wanted`."""
    probe = fit_probe(learn.values[features], learn.values[wanted], learn.takes)
    return float(np.nanmean(r_squared(probe.predict(judge.values[features]), judge.values[wanted])))


def _share(learn: _Rows, judge: _Rows, of: Sequence[str]) -> float:
    """How much of the variance of the whole latent follows linearly from the motion `of`."""
    told, asked = (np.concatenate([rows.values[name] for name in of], axis=1) for rows in (learn, judge))
    probe = fit_probe(told, learn.values["latent"], learn.takes)
    true = judge.values["latent"]
    wrong = ((probe.predict(asked) - true) ** 2).sum()
    return float(1 - wrong / ((true - true.mean(axis=0)) ** 2).sum())
