"""The shared model's speed on a CPU: the action head against its bare matrix products, stored features against a live
encoder, and what the policy server adds to the model's own time."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from benchmarks import measure
from groot.encoders.context_tokens import Tokens
from groot.features.context_features import ContextFeatures
from groot.features.feature_config import FeatureConfig
from groot.network.embodiment_layers import LinearBank
from groot.network.model import ActionHead, Groot, groot_loss
from groot.presets import BackboneConfig, preset
from groot.serving.client import GrootClient
from groot.serving.observation import Observation
from groot.serving.server import PolicyServer, ServeConfig
from groot.training.fit_policy import fit_policy
from groot.training.policy import GrootPolicy
from groot.training.policy_config import GrootFitConfig
from storage.testing import tiny_dataset

BARS = {
    "action head over bare matrix products": {"at_most": 1.1},
    "stored features over live encoder, steps/s": {"at_least": 5.0},
    "server above the model's own time, ms": {"at_most": 2.0},
}


def run(quick: bool) -> dict[str, Any]:
    """CPU seconds; the server's figure is of walls, on loopback."""
    torch.set_num_threads(1)
    figures = {**_head(quick), **_features(quick), **_server(quick)}
    bars = {} if quick else BARS
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _head(quick: bool) -> dict[str, float]:
    """One observation to a chunk, four Euler steps, 64 image tokens and 16 of text: the head of N1 (fewer layers and
    slots when quick), against the products of its linear layers with nothing between them."""
    head, tokens, inputs = n1_head(layers=4 if quick else 16)
    products = _products(head, lambda: head.sample(tokens, **inputs))

    def bare() -> None:
        with torch.no_grad():
            for x, weight, bias in products:
                F.linear(x, weight, bias)

    seconds = measure.interleaved(
        {"head": lambda: head.sample(tokens, **inputs), "bare": bare}, rounds=5 if quick else 15
    )
    return {
        "action head over bare matrix products": seconds["head"].cpu_s / seconds["bare"].cpu_s,
        "action head, CPU ms": 1e3 * seconds["head"].cpu_s,
    }


def n1_head(*, layers: int, device: str | torch.device = "cpu") -> tuple[ActionHead, Tokens, dict[str, Any]]:
    """N1's action head with so many layers and two slots, and one observation for it: 80 tokens, a chunk of 16."""
    config = preset("n1").head
    dit = replace(config.dit, layers=layers, dropout=0.0)
    head = ActionHead(replace(config, embodiments=2, dit=dit)).eval().to(device)
    mask = torch.ones(1, 80, dtype=torch.bool, device=device)
    inputs: dict[str, Any] = {
        "mask_BHD": torch.ones(1, 16, config.action_size, dtype=torch.bool, device=device),
        "slot_B": torch.zeros(1, dtype=torch.long, device=device),
        "state_BP": torch.randn(1, config.state_size, device=device),
    }
    return head, Tokens(torch.randn(1, 80, dit.context_width, device=device), mask, mask), inputs


def _products(head: nn.Module, run_once: Callable[[], object]) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Input, weight and bias of every linear layer, in the order of one run."""
    products: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def note(module: Any, inputs: Any) -> None:
        x = inputs[0].detach().clone()
        if isinstance(module, LinearBank):
            products.append((x, module.weight[0].detach().t().contiguous(), module.bias[0].detach()))
        else:
            products.append((x, module.weight.detach(), module.bias.detach()))

    hooks = [
        module.register_forward_pre_hook(note)
        for module in head.modules()
        if isinstance(module, nn.Linear | LinearBank)
    ]
    run_once()
    for hook in hooks:
        hook.remove()
    return products


def _features(quick: bool) -> dict[str, float]:
    """Training steps of the starter's head on a frozen SigLIP of base size (smaller when quick), random weights."""
    size = {"hidden_size": 192 if quick else 768, "intermediate_size": 768 if quick else 3072}
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.SiglipVisionConfig(
            **size, num_hidden_layers=12, num_attention_heads=12, image_size=224, patch_size=16
        )
        transformers.SiglipVisionModel(settings).save_pretrained(folder)
        backbone = BackboneConfig(kind="vision", source=folder, width=128, image_px=(224, 224))
        base = preset("starter")
        model = Groot(replace(base, backbone=backbone, head=replace(base.head, state_size=11, action_size=7)))
        stage = ContextFeatures(FeatureConfig(backbone=backbone, views={"a": ("a",), "b": ("b",)}, tokens=392))
    images = torch.randint(0, 255, (8, 2, 224, 224, 3), dtype=torch.uint8)
    values, mask = stage._features(images.numpy(), "")
    stage.encoder.load_state_dict(model.backbone.state_dict())
    common: dict[str, Any] = {
        "state": torch.randn(8, 11),
        "actions": torch.randn(8, 16, 7),
        "mask": torch.ones(8, 16, 7),
        "slot": torch.zeros(8, dtype=torch.long),
    }
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-9)

    def step(batch: dict[str, Any]) -> float:
        torch.manual_seed(0)
        loss = groot_loss(model, batch)["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    live = {**common, "images": images}
    stored = {**common, "features": torch.from_numpy(values), "feature_mask": torch.from_numpy(mask)}
    difference = abs(step(live) - step(stored))
    seconds = measure.interleaved(
        {"live": lambda: step(live), "stored": lambda: step(stored)}, rounds=2 if quick else 5
    )
    return {
        "stored features over live encoder, steps/s": seconds["live"].cpu_s / seconds["stored"].cpu_s,
        "difference of the losses": difference,
    }


def _server(quick: bool) -> dict[str, float]:
    """A tiny model on loopback, two views of 128x128: the median of the round trip less that of the model alone."""
    with tempfile.TemporaryDirectory() as folder:
        data = tiny_dataset(Path(folder) / "d", cameras=("a", "b")).root
        base = GrootFitConfig.of_preset("tiny", (str(data),))
        fit_policy(replace(base, fit=replace(base.fit, steps=1)), Path(folder) / "m", tensorboard=False)
        policy = GrootPolicy.load(Path(folder) / "m")
    seen = Observation(
        images={view: np.zeros((128, 128, 3), np.uint8) for view in policy.info.views},
        state={part: np.zeros(size, np.float32) for part, size in policy.info.state.items()},
    )
    server = PolicyServer(policy, ServeConfig(port=0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    client = GrootClient(server.address)
    alone, served = [], []
    for _ in range(30 if quick else 300):
        alone.append(_wall_ms(lambda: policy.act(seen)))
        served.append(_wall_ms(lambda: client.act(seen)))
    client.kill()
    client.close()
    thread.join()
    return {
        "server above the model's own time, ms": median(served) - median(alone),
        "the model's own time, ms": median(alone),
    }


def _wall_ms(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began_s)
