"""A fitted model that acts: one observation in, a chunk of actions in physical units out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groot.encoders.text import text_numbers
from groot.network.captured import CapturedLoop
from groot.network.embodiment_layers import Slots
from groot.serving.observation import Observation, PolicyInfo, checked
from groot.training.heads import Head
from groot.training.saved_policy import SavedPolicy, load_policy
from storage.pictures.resizing import Resize


class GrootPolicy:
    """Acts with one head of a saved policy. Noise follows from the seed of a call alone."""

    def __init__(self, saved: SavedPolicy, *, head: str = "", device: str = "cpu") -> None:
        self.saved, self.head = saved, saved.head(head)
        self.network = saved.network.to(device).eval()
        self._device = torch.device(device)
        self._loop = CapturedLoop(self.network.head) if self._device.type == "cuda" else None
        self._resize = Resize(size_px=saved.config.backbone.image_px)
        embodiment = self.head.embodiment
        parts = {part.name: part.size for part, _ in embodiment.state}
        wanted = parts if self.head.relative else {name: parts[name] for name in self.head.state_parts}
        self.info = PolicyInfo(
            embodiment=embodiment.name,
            views=dict(saved.views),
            state=wanted,
            action=_action_parts(self.head),
            horizon=saved.config.head.horizon,
            rate_hz=saved.config.head.horizon / saved.horizon_s if saved.horizon_s else self.head.rate_hz,
        )

    @classmethod
    def load(cls, folder: Path, *, head: str = "", device: str = "cpu") -> "GrootPolicy":
        """The policy in `folder`; see `groot.training.saved_policy.load_policy` for what is refused."""
        return cls(load_policy(folder), head=head, device=device)

    @torch.no_grad()
    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """Action part -> (H, n); raises InputError or SchemaError for an observation that does not fit."""
        observation = checked(observation, self.info)
        state = self._state_vector(observation)
        batch = self._batch(observation, state)
        shape = tuple(batch["mask"].shape)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self._device)
        normalised = self.network.act(batch, noise_BHD=noise, loop=self._loop)[0].float().cpu().numpy()
        chunk = self.head.actions(normalised[None, :, : self.head.action_size], state[None])[0]
        spans = self.head.embodiment.action.slices() if len(self.info.action) > 1 else {}
        return {part: chunk[:, spans.get(part, slice(None))] for part in self.info.action}

    def _state_vector(self, observation: Observation) -> NDArray[np.float32]:
        """The embodiment's state vector; parts that the head does not look at stay zero."""
        layout = self.head.embodiment.state
        state = np.zeros(layout.size, np.float32)
        for name, span in layout.slices().items():
            if name in self.info.state:
                state[span] = observation.state[name]
        return state

    def _batch(self, observation: Observation, state: NDArray[np.float32]) -> dict[str, Any]:
        config = self.saved.config
        images = np.stack([self._resize(observation.images[view]) for view in self.info.views])[None]
        seen = self.head.seen_state(state[None])
        padded = np.zeros((1, config.head.state_size), np.float32)
        padded[:, : seen.shape[1]] = seen
        mask = np.zeros((1, config.head.horizon, config.head.action_size), bool)
        mask[..., : self.head.action_size] = True
        batch: dict[str, Any] = {"images": images, "state": padded, "mask": mask}
        text = text_numbers(config.backbone.kind, [observation.instruction])
        if text is not None:
            batch["text"] = text
        tensors: dict[str, Any] = {name: torch.from_numpy(value).to(self._device) for name, value in batch.items()}
        tensors["slot"] = Slots(((self.head.slot, None),))
        if config.backbone.kind == "vlm":
            tensors["instruction"] = [observation.instruction]
        return tensors


def _action_parts(head: Head) -> dict[str, int]:
    layout = head.embodiment.action
    if head.kind == "latent" or layout.size != head.action_size:
        return {"action": head.action_size}
    return {part.name: part.size for part, _ in layout}
