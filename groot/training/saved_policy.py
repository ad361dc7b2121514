"""A fitted model on disk: network, heads, views. See `groot.checkpoint`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from groot.card_hash import policy_folder
from groot.checkpoint import ModelCard, load_card, load_weights, save_model
from groot.network.dit import DiTConfig
from groot.network.flow_matching import FlowConfig
from groot.network.model import Groot
from groot.presets import BackboneConfig, GrootConfig, HeadConfig
from groot.training.heads import Head
from storage.embodiment import Embodiment, register
from storage.errors import ConfigError, CorruptFileError, UnknownNameError

KIND = "groot"


@dataclass(frozen=True, kw_only=True)
class SavedPolicy:
    """Everything that acting takes. `views` maps each view to the cameras that may fill it, in the network's order."""

    network: Groot
    config: GrootConfig
    heads: Mapping[str, Head]
    views: Mapping[str, tuple[str, ...]]
    horizon_s: float | None
    card: ModelCard | None

    def head(self, name: str = "") -> Head:
        """The head called `name`; "": the only one of recorded actions. Raises UnknownNameError or ConfigError."""
        if not name:
            recorded = [head for head in self.heads.values() if head.kind == "ground_truth"]
            chosen = recorded or list(self.heads.values())
            if len(chosen) != 1:
                raise ConfigError(f"this model has the heads {', '.join(self.heads)}; say which one is meant")
            return chosen[0]
        if name not in self.heads:
            raise UnknownNameError.among("head of this model", name, self.heads)
        return self.heads[name]


def save_policy(folder: Path, policy: SavedPolicy, card: ModelCard) -> SavedPolicy:
    """Write the policy; `card` brings data, training and metrics."""
    inputs = {
        "views": {view: list(cameras) for view, cameras in policy.views.items()},
        "horizon_s": policy.horizon_s,
        "heads": [head.to_json() for head in policy.heads.values()],
        "embodiments": [head.embodiment.to_json() for head in policy.heads.values()],
    }
    card = replace(card, kind=KIND, preset=policy.config.name, config=asdict(policy.config), inputs=inputs)
    return replace(policy, card=save_model(folder, policy.network, card))


def load_policy(folder: Path, *, preset: str = "") -> SavedPolicy:
    """Read the policy in `folder`, "starter" for the one that ships.

    Raises what `groot.checkpoint.load_card` does, ConfigError for a model of another preset.
    """
    folder = policy_folder(folder)
    card = load_card(folder, kind=KIND, preset=preset)
    try:
        for record in card.inputs["embodiments"]:
            register(Embodiment.from_json(record))
        heads = [Head.from_json(record) for record in card.inputs["heads"]]
        views = {view: tuple(cameras) for view, cameras in card.inputs["views"].items()}
        config = groot_config(card.config)
        horizon_s = card.inputs["horizon_s"]
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"the card in {folder} lacks or misstates {error}") from error
    network = Groot(config)
    load_weights(folder, network)
    return SavedPolicy(
        network=network.eval(),
        config=config,
        heads={head.name: head for head in heads},
        views=views,
        horizon_s=horizon_s,
        card=card,
    )


PADDED = (
    "head.state_encoder.first.weight",
    "head.action_encoder.action.weight",
    "head.action_decoder.second.weight",
    "head.action_decoder.second.bias",
)
"""Parts whose numbers of a state or an action are padded to the widest head of a mixture."""


def begin_from(model: Groot, initial: SavedPolicy, heads: Mapping[str, Head]) -> None:
    """Put the weights of `initial` into `model`, which has `heads`, slot by slot: heads that are new keep their fresh
    weights, and so does a way for the instruction to reach the pictures (`film`, which at first changes nothing) that
    `initial` lacks. Mixtures with other heads may be wider or narrower: what pads a head is neither taken nor kept.

    Raises ConfigError where a head or a part differs in size.
    """
    wrong = [
        f"head {name}: {sizes(head)} numbers here, {sizes(initial.heads[name])} there"
        for name, head in heads.items()
        if name in initial.heads and sizes(head) != sizes(initial.heads[name])
    ]
    own, given = model.state_dict(), initial.network.state_dict()
    for name, tensor in own.items():
        other = given.get(name)
        if other is None and name.startswith("backbone.film."):
            continue
        if other is None or (other.shape[1:] != tensor.shape[1:] and name not in PADDED):
            wrong.append(f"{name}: {tuple(tensor.shape)} here, {None if other is None else tuple(other.shape)} there")
            continue
        with torch.no_grad():
            both = tuple(slice(min(pair)) for pair in zip(tensor.shape, other.shape, strict=True))
            tensor[both].copy_(other[both])
    if wrong:
        raise ConfigError(
            f"the initial model does not fit this mixture, {len(wrong)} parts differ: {'; '.join(wrong[:4])}; keep the"
            " widths of states and actions (state_parts, labels) as they were"
        )


def sizes(head: Head) -> tuple[int, int]:
    """Numbers of a head's action, and of the state that it looks at."""
    return head.action_size, len(head.state_columns) if head.state_parts else 0


def groot_config(record: Mapping[str, Any]) -> GrootConfig:
    """The inverse of `dataclasses.asdict` for a model's config, after a trip through JSON."""
    values = dict(record)
    head = dict(values.pop("head"))
    dit, flow = DiTConfig(**head.pop("dit")), FlowConfig(**head.pop("flow"))
    backbone = BackboneConfig(**_tuples(values.pop("backbone")))
    return GrootConfig(**values, backbone=backbone, head=HeadConfig(**_tuples(head), dit=dit, flow=flow))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
