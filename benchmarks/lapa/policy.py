"""What latent labels are for: a policy pre-trained on the latents of episodes without actions, then on 10 with actions.

First a small network learns to say the latent action of a picture, for 390 episodes of which only the video is used;
then its head is replaced by one for actions, as in LAPA (arXiv 2410.11758, section 3.3), which also knows what the
body feels. Against the same network trained for as many steps on the 10 alone. Lift with wide placements (D1), pictures
of one camera, success in simulation from starts that neither saw; the starter model of latent actions saw none of the
episodes. Seeds run side by side on all cores. Quick: one seed, few steps and roll-outs, and so no bar.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.lapa.simulated import SIZE_PX, Source, datasets
from benchmarks.measure import print_table, result
from lapa.fitting.clips import ClipConfig, LapaClip, read_clips
from lapa.labelling.encode_clip import encode_clip
from lapa.labelling.label_config import STARTER, model_folder
from lapa.labelling.saved_model import load_lapa
from storage.embodiment import PANDA

CAMERA = "sideview"
LIFT = Source(task="lift", cameras=("sideview", "agentview"), episodes=400, quick_episodes=30)
EPISODES_SEED = 4
"""Episodes that the starter was not trained on."""
LABELLED = 10
CHUNK, EXECUTED = 8, 4
HORIZON = 160
BODY_PARTS = ("end_effector_position", "gripper")
Kind = TypeVar("Kind", "Video", "Demonstrations")
CONTESTANTS = ("pre-trained on latents", "10 episodes alone")
FLOATS = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps of the two phases, at what share of the rate the pre-trained part learns in the second, and how often
    success is tried."""

    seeds: int = 5
    pretraining_steps: int = 6000
    steps: int = 400
    pretrained_rate: float = 0.1
    rollouts: int = 100
    batch: int = 64


QUICK = Plan(seeds=1, pretraining_steps=200, steps=100, rollouts=6)


class Policy(nn.Module):
    """A picture to its latent action, or with what the body feels to a chunk of actions."""

    def __init__(self, *, body: int, latent: int, actions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.SiLU()]
        for one, other in pairwise((32, 48, 64, 64)):
            layers += [nn.Conv2d(one, other, 3, stride=2, padding=1), nn.SiLU()]
        flat = 64 * (SIZE_PX // 16) ** 2
        self.see = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 256), nn.LayerNorm(256), nn.SiLU())
        self.latent = nn.Linear(256, latent)
        self.act = nn.Sequential(nn.Linear(256 + body, 256), nn.SiLU(), nn.Linear(256, CHUNK * actions))

    def forward(self, images: Tensor, body: Tensor) -> Tensor:
        """Chunks of actions (B, CHUNK, A)."""
        chunk: Tensor = self.act(torch.cat([self.see(images), body], dim=1))
        return chunk.view(len(images), CHUNK, -1)


@dataclass(frozen=True)
class Video:
    """Pictures (N, H, W, 3) uint8 and their latents (N, Z), each number scaled to unit variance."""

    images: NDArray[np.uint8]
    latents: FLOATS

    @classmethod
    def of(cls, clips: Sequence[LapaClip]) -> "Video":
        """What the starter says of video alone."""
        model = load_lapa(model_folder(STARTER)).network
        images = np.concatenate([clip.frames_of(list(clip.pairs)) for clip in clips])
        latents = np.concatenate([encode_clip(model, clip).latent for clip in clips])
        scaled = (latents - latents.mean(axis=0)) / (latents.std(axis=0) + 1e-6)
        return cls(images, scaled.astype(np.float32))


@dataclass(frozen=True)
class Demonstrations:
    """Pictures (N, H, W, 3) uint8, what the body feels (N, P) in its own units, and chunks of actions (N, CHUNK, A)."""

    images: NDArray[np.uint8]
    body: FLOATS
    chunks: FLOATS

    @classmethod
    def of(cls, clips: Sequence[LapaClip]) -> "Demonstrations":
        images, body, chunks = [], [], []
        spans = PANDA.state.slices()
        for clip in clips:
            actions = clip.episode.arrays["action/ground_truth"]
            # The last action goes on: after the end the hand stays where it is.
            ahead = np.minimum(np.arange(len(actions))[:, None] + np.arange(CHUNK), len(actions) - 1)
            images.append(clip.frames_of(range(len(actions))))
            body.append(np.concatenate([clip.episode.arrays["state"][:, spans[part]] for part in BODY_PARTS], axis=1))
            chunks.append(actions[ahead])
        return cls(np.concatenate(images), np.concatenate(body), np.concatenate(chunks))

    @cached_property
    def _scaling(self) -> tuple[FLOATS, FLOATS]:
        return self.body.mean(axis=0), self.body.std(axis=0) + 1e-6

    def felt(self, body: FLOATS) -> Tensor:
        """`body` (..., P), scaled by the mean and deviation of these demonstrations."""
        centre, scale = self._scaling
        return torch.from_numpy(((body - centre) / scale).astype(np.float32))


def run(quick: bool) -> dict[str, Any]:
    plan = QUICK if quick else Plan()
    cores = len(os.sched_getaffinity(0))
    scores = np.zeros((plan.seeds, len(CONTESTANTS)))
    with tempfile.TemporaryDirectory() as folder:
        silent = _write_examples(Path(folder), quick)
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(cores, spawned, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            jobs = {
                pool.submit(score, Path(folder), plan, seed, contestant): (seed, place)
                for seed in range(plan.seeds)
                for place, contestant in enumerate(CONTESTANTS)
            }
            for job in as_completed(jobs):
                seed, place = jobs[job]
                scores[seed, place] = job.result()
                print(f"seed {seed}, {CONTESTANTS[place]}: {scores[seed, place]:.2f} of {plan.rollouts}", flush=True)
    figures = {f"success, {name}": float(mean) for name, mean in zip(CONTESTANTS, scores.mean(axis=0), strict=True)}
    gains = scores[:, 0] - scores[:, 1]
    figures |= {"gain": float(gains.mean()), "gain, lower end of the 95 % interval": _lower_end(gains)}
    figures |= {"episodes without actions": float(silent), "steps": float(plan.pretraining_steps + plan.steps)}
    bars = {} if quick else {"gain, lower end of the 95 % interval": {"at_least": 0.0}}
    print_table(figures, bars)
    return result(figures, bars)


def _write_examples(folder: Path, quick: bool) -> int:
    """The examples as arrays that the processes of all seeds map into memory; returns the number of silent clips."""
    [dataset] = datasets(quick=quick, seed=EPISODES_SEED, sources=[LIFT])
    clips = list(read_clips(dataset.episodes(), (SIZE_PX, SIZE_PX), ClipConfig(cameras=(CAMERA,))))
    for examples in (Video.of(clips[LABELLED:]), Demonstrations.of(clips[:LABELLED])):
        for field in fields(examples):
            np.save(_array_file(folder, type(examples), field.name), getattr(examples, field.name))
    return len(clips) - LABELLED


def _read_examples(folder: Path, kind: type[Kind]) -> Kind:
    return kind(*(np.load(_array_file(folder, kind, field.name), mmap_mode="r") for field in fields(kind)))


def _array_file(folder: Path, kind: type, name: str) -> Path:
    return folder / f"{kind.__name__}-{name}.npy"


def _lower_end(gains: NDArray[np.float64]) -> float:
    """Lower end of the interval of Student's t over seeds; the mean itself for a single seed."""
    from scipy.stats import t

    if len(gains) < 2:
        return float(gains.mean())
    return float(gains.mean() - t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))


def score(folder: Path, plan: Plan, seed: int, contestant: str) -> float:
    """Success of one contestant with one seed. Both take the same number of steps: in two phases, or in one."""
    many, few = _read_examples(folder, Video), _read_examples(folder, Demonstrations)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    policy = Policy(body=few.body.shape[1], latent=many.latents.shape[1], actions=few.chunks.shape[2])
    if contestant == CONTESTANTS[0]:
        _learn_latents(policy, many, plan, random)
        _learn_actions(policy, few, plan, random, steps=plan.steps, rate_of_sight=plan.pretrained_rate)
    else:
        _learn_actions(policy, few, plan, random, steps=plan.pretraining_steps + plan.steps)
    return _success(policy.eval(), few, plan, seed)


def _learn_latents(policy: Policy, many: Video, plan: Plan, random: np.random.Generator) -> None:
    def error(rows: NDArray[np.int64]) -> Tensor:
        latents: Tensor = policy.latent(policy.see(_shifted(many.images[rows], random)))
        return latents.float() - torch.from_numpy(many.latents[rows])

    parameters = [*policy.see.parameters(), *policy.latent.parameters()]
    _descend([(parameters, 1.0)], error, len(many.images), plan.pretraining_steps, plan, random)


def _learn_actions(
    policy: Policy,
    few: Demonstrations,
    plan: Plan,
    random: np.random.Generator,
    *,
    steps: int,
    rate_of_sight: float = 1.0,
) -> None:
    def error(rows: NDArray[np.int64]) -> Tensor:
        felt = few.felt(few.body[rows])
        # A little noise, so that the hand's place is not read to the millimetre.
        chunk: Tensor = policy(_shifted(few.images[rows], random), felt + 0.1 * torch.randn_like(felt))
        return chunk.float() - torch.from_numpy(few.chunks[rows])

    groups = [(list(policy.see.parameters()), rate_of_sight), (list(policy.act.parameters()), 1.0)]
    _descend(groups, error, len(few.images), steps, plan, random)


def _descend(
    groups: Sequence[tuple[list[nn.Parameter], float]],
    error: Callable[[NDArray[np.int64]], Tensor],
    count: int,
    steps: int,
    plan: Plan,
    random: np.random.Generator,
) -> None:
    """`steps` steps down the mean square of `error`; each group of parameters with its share of the rate."""
    rates = [1e-3 * share for _, share in groups]
    optimizer = torch.optim.AdamW([{"params": parameters} for parameters, _ in groups], weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    for _ in range(steps):
        rows = random.integers(count, size=plan.batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            wrong = error(rows)
        optimizer.zero_grad()
        wrong.square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _shifted(images: NDArray[np.uint8], random: np.random.Generator, reach: int = 4) -> Tensor:
    """Pictures (B, H, W, 3) as pixels (B, 3, H, W) around zero, each moved by up to `reach` pixels."""
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))  # type: ignore[call-overload]
    rows, columns = random.integers(2 * reach + 1, size=(2, count))
    return _centred(windows[np.arange(count), rows, columns])


def _centred(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).float() / 255 - 0.5


def _success(policy: Policy, few: Demonstrations, plan: Plan, seed: int) -> float:
    """Share of roll-outs from new starts that succeed; the same starts for both contestants."""
    from benchmarks.lapa.rollouts import Rollouts

    @torch.no_grad()
    def act(image: NDArray[np.uint8], body: FLOATS) -> FLOATS:
        pixels = _centred(np.ascontiguousarray(image.transpose(2, 0, 1))[None])
        chunk: FLOATS = policy(pixels, few.felt(body)[None])[0, :EXECUTED].numpy()
        return chunk

    with closing(Rollouts("lift", "D1", size_px=SIZE_PX, parts=BODY_PARTS, camera=CAMERA)) as rollouts:
        starts = range(10_000 * (seed + 1), 10_000 * (seed + 1) + plan.rollouts)
        return float(np.mean([rollouts.succeeds(act, start, HORIZON) for start in starts]))
