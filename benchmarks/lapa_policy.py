"""What latent labels are for: a policy pre-trained on the latents of episodes without actions, then on 10 with actions.

The policy says the latent action of a picture, and a small head reads actions off that latent and what the body
feels, as LAPA and LAPO do. Against the same network trained for as many steps on the 10 alone. Lift with wide
placements (D1), pictures of one camera, success in simulation from starts that neither saw; the starter model of
latent actions saw none of the episodes. Quick: one seed, few steps and roll-outs, and so no bar.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lapa_clips import use_threads
from benchmarks.lapa_simulated import SIZE_PX, SOURCES, datasets
from benchmarks.measure import print_table, result
from lapa.clips import Clip, ClipConfig, read_clips
from lapa.encode import encode_clip
from lapa.fit import load_model
from lapa.label_config import STARTER, model_folder
from storage.embodiment import PANDA

EPISODES_SEED = 3
"""Episodes that the starter was not trained on."""
CHUNK, EXECUTED = 8, 4
LABELLED = 10
HORIZON = 160
CAMERA = "sideview"
BODY_PARTS = ("end_effector_position", "gripper")
FLOATS = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps of the two phases, at what share of the rate the pre-trained part learns in the second, and how often
    success is tried."""

    seeds: int = 5
    pretraining_steps: int = 1200
    steps: int = 400
    pretrained_rate: float = 0.1
    rollouts: int = 50
    batch: int = 64


class Policy(nn.Module):
    """A picture to its latent action; that and what the body feels to a chunk of actions."""

    def __init__(self, *, body: int, latent: int, actions: int) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 64)
        layers: list[nn.Module] = []
        for one, other in pairwise(widths):
            layers += [nn.Conv2d(one, other, 3, stride=2, padding=1), nn.GroupNorm(8, other), nn.SiLU()]
        self.see = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (SIZE_PX // 16) ** 2, 256), nn.SiLU())
        self.latent = nn.Linear(256, latent)
        self.act = nn.Sequential(nn.Linear(latent + body, 256), nn.SiLU(), nn.Linear(256, CHUNK * actions))

    def forward(self, images: Tensor, body: Tensor) -> Tensor:
        """Chunks of actions (B, CHUNK, A)."""
        chunk: Tensor = self.act(torch.cat([self.latent(self.see(images)), body], dim=1))
        return chunk.view(len(images), CHUNK, -1)


@dataclass(frozen=True)
class Examples:
    """Pictures (N, H, W, 3) uint8 with their targets: latents (N, Z), or body (N, P) and chunks (N, CHUNK, A)."""

    images: NDArray[np.uint8]
    latents: FLOATS
    body: FLOATS
    chunks: FLOATS


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    plan = Plan(seeds=1, pretraining_steps=200, steps=100, rollouts=6) if quick else Plan()
    clips = _clips(quick)
    labelled, silent = clips[:LABELLED], clips[LABELLED:]
    few, many = _with_actions(labelled), _with_latents(silent)
    scores: dict[str, list[float]] = {"pre-trained on latents": [], "10 episodes alone": []}
    for seed in range(plan.seeds):
        for name in scores:
            policy = _trained(few, many, plan, seed, pretrain=name == "pre-trained on latents")
            scores[name].append(_success(policy, few, plan, seed))
            print(f"seed {seed}, {name}: {scores[name][-1]:.2f} of {plan.rollouts} roll-outs succeed", flush=True)
    figures = {f"success, {name}": float(np.mean(each)) for name, each in scores.items()}
    gains = np.subtract(*(np.array(scores[name]) for name in scores))
    figures |= {"gain": float(gains.mean()), "gain, lower end of the 95 % interval": _lower_end(gains)}
    figures |= {"episodes without actions": float(len(silent)), "steps": float(plan.pretraining_steps + plan.steps)}
    bars = {} if quick else {"gain, lower end of the 95 % interval": {"at_least": 0.0}}
    print_table(figures, bars)
    return result(figures, bars)


def _lower_end(gains: NDArray[np.float64]) -> float:
    """Lower end of the interval of Student's t over seeds; the mean itself for a single seed."""
    from scipy.stats import t

    if len(gains) < 2:
        return float(gains.mean())
    return float(gains.mean() - t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))


def _clips(quick: bool) -> list[Clip]:
    opened = datasets(quick=quick, seed=EPISODES_SEED, sources=[source for source in SOURCES if source.task == "lift"])
    return list(read_clips(opened[0].episodes(), (SIZE_PX, SIZE_PX), ClipConfig(cameras=(CAMERA,))))


def _with_latents(clips: list[Clip]) -> Examples:
    """What a model of latent actions says of video alone, each number scaled to unit variance."""
    model = load_model(model_folder(STARTER)).model
    images = np.concatenate([clip.frames_of(list(clip.pairs)) for clip in clips])
    latents = np.concatenate([encode_clip(model, clip).latent for clip in clips])
    scaled = (latents - latents.mean(axis=0)) / (latents.std(axis=0) + 1e-6)
    nothing = np.zeros((len(images), 0), np.float32)
    return Examples(images, scaled.astype(np.float32), nothing, nothing)


def _with_actions(clips: list[Clip]) -> Examples:
    images, body, chunks = [], [], []
    spans = PANDA.state.slices()
    for clip in clips:
        actions = clip.episode.arrays["action/ground_truth"]
        # The last action goes on: after the end the hand stays where it is.
        ahead = np.minimum(np.arange(len(actions))[:, None] + np.arange(CHUNK), len(actions) - 1)
        images.append(clip.frames_of(range(len(actions))))
        body.append(np.concatenate([clip.episode.arrays["state"][:, spans[part]] for part in BODY_PARTS], axis=1))
        chunks.append(actions[ahead])
    joined = np.concatenate(body)
    return Examples(np.concatenate(images), np.zeros((len(joined), 0), np.float32), joined, np.concatenate(chunks))


def _trained(few: Examples, many: Examples, plan: Plan, seed: int, *, pretrain: bool) -> Policy:
    """Both contestants take the same number of steps: two phases, or one as long as both."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    policy = Policy(body=few.body.shape[1], latent=many.latents.shape[1], actions=few.chunks.shape[2])
    if pretrain:
        _phase(policy, many, plan, random, steps=plan.pretraining_steps)
        _phase(policy, few, plan, random, steps=plan.steps, rate_of_latents=plan.pretrained_rate)
    else:
        _phase(policy, few, plan, random, steps=plan.pretraining_steps + plan.steps)
    return policy.eval()


def _phase(
    policy: Policy,
    examples: Examples,
    plan: Plan,
    random: np.random.Generator,
    *,
    steps: int,
    rate_of_latents: float = 1.0,
) -> None:
    latent_phase = not examples.body.shape[1]
    latents = [*policy.see.parameters(), *policy.latent.parameters()]
    rates = [1e-3 * rate_of_latents, 1e-3]
    groups: list[dict[str, Any]] = [{"params": latents}, {"params": policy.act.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    centre, scale = _scaling(examples.body)
    for _ in range(steps):
        rows = random.integers(len(examples.images), size=plan.batch)
        images = _shifted(_pixels(examples.images[rows]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if latent_phase:
                error = policy.latent(policy.see(images)).float() - torch.from_numpy(examples.latents[rows])
            else:
                body = torch.from_numpy((examples.body[rows] - centre) / scale)
                # A little noise, so that the hand's place is not read to the millimetre.
                chunk = policy(images, body + 0.1 * torch.randn_like(body)).float()
                error = chunk - torch.from_numpy(examples.chunks[rows])
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
        schedule.step()


def _scaling(body: FLOATS) -> tuple[FLOATS, FLOATS]:
    return (body.mean(axis=0), body.std(axis=0) + 1e-6) if body.shape[1] else (body[:0], body[:0])


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5


def _shifted(images: Tensor, reach: int = 4) -> Tensor:
    """Each picture moved by up to `reach` pixels."""
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    size, places = images.shape[2], torch.randint(0, 2 * reach + 1, (len(images), 2))
    return torch.stack([each[:, r : r + size, c : c + size] for each, (r, c) in zip(padded, places, strict=True)])


def _success(policy: Policy, few: Examples, plan: Plan, seed: int) -> float:
    """Share of roll-outs from new starts that succeed; the same starts for both contestants."""
    from benchmarks.lapa_rollouts import Rollouts

    centre, scale = _scaling(few.body)

    @torch.no_grad()
    def act(image: NDArray[np.uint8], body: FLOATS) -> FLOATS:
        felt = torch.from_numpy(((body - centre) / scale).astype(np.float32))[None]
        chunk: FLOATS = policy(_pixels(image[None]), felt)[0, :EXECUTED].numpy()
        return chunk

    rollouts = Rollouts("lift", "D1", size_px=SIZE_PX, parts=BODY_PARTS, camera=CAMERA)
    return float(np.mean([rollouts.succeeds(act, 10_000 * (seed + 1) + n, HORIZON) for n in range(plan.rollouts)]))
