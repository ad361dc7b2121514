"""A fitted inverse dynamics model on disk: network, targets, calibration, features it is familiar with. See
`groot.checkpoint`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groot.checkpoint import WEIGHTS_FILE, ModelCard, load_card, load_tensors, put_tensors, save_model
from groot.network.flow_matching import FlowConfig
from groot.presets import BackboneConfig
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.controller import Controller
from idm.labelling.scene import SceneFamiliarity
from idm.labelling.uncertainty import Calibration, Familiarity
from idm.network.encoder import IdmEncoderConfig
from idm.network.model import Idm, IdmConfig
from storage.errors import CorruptFileError, UnknownNameError

KIND = "idm"
_FAMILIAR, _SCENE, _CONTROLLER = "familiarity", "scene", "controller"
_BESIDE = tuple(f"{name}/" for name in (_FAMILIAR, _SCENE, _CONTROLLER))


@dataclass(frozen=True, kw_only=True)
class IdmModel:
    """Everything that labelling takes. `targets`, `calibrations`, `familiar`, `scenes` and `controllers` are by head,
    in the order of slots; `cameras` says which cameras may fill each view."""

    network: Idm
    config: IdmConfig
    targets: Mapping[str, EmbodimentTargets]
    cameras: Mapping[str, tuple[str, ...]]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    familiar: Mapping[str, Familiarity] = field(default_factory=dict)
    scenes: Mapping[str, SceneFamiliarity] = field(default_factory=dict)
    controllers: Mapping[str, Controller] = field(default_factory=dict)
    card: ModelCard | None = None

    @property
    def content_hash(self) -> str:
        return self.card.content_hash if self.card else ""

    def head_of(self, name: str) -> str:
        """The head called `name`; raises UnknownNameError for a body that the model was not trained on."""
        if name not in self.targets:
            hint = "(fit the model on labelled episodes of it, or name the head to use)"
            raise UnknownNameError.among("embodiment of this model", name, self.targets, hint=hint)
        return name

    def calibration(self, head: str) -> Calibration:
        """The calibration of a head, a plain one where it was never calibrated."""
        if head in self.calibrations:
            return self.calibrations[head]
        head_targets = self.targets[head]
        return Calibration.none(steps=self.config.chunk_steps, size=head_targets.size, groups=len(head_targets.groups))


def save_idm(folder: Path, model: IdmModel, card: ModelCard) -> IdmModel:
    """Write the model; `card` brings data, training and metrics, the rest of it is filled in from the model."""
    card = replace(card, kind=KIND, preset=model.config.preset, config=asdict(model.config))
    tensors = dict(model.network.state_dict())
    for head, familiar in model.familiar.items():
        tensors[f"{_FAMILIAR}/{head}/mean"] = torch.from_numpy(familiar.mean.astype(np.float32))
        tensors[f"{_FAMILIAR}/{head}/whitening"] = torch.from_numpy(familiar.whitening.astype(np.float32))
    for what, by_head in ((_SCENE, model.scenes), (_CONTROLLER, model.controllers)):
        for head, fitted in by_head.items():
            arrays = fitted.arrays().items()
            tensors |= {f"{what}/{head}/{name}": torch.from_numpy(rows.astype(np.float32)) for name, rows in arrays}
    inputs = {
        **card.inputs,
        "cameras": {view: list(names) for view, names in model.cameras.items()},
        "targets": {head: head_targets.to_json() for head, head_targets in model.targets.items()},
        "heads": list(model.targets),
        "calibrations": {head: calibration.to_json() for head, calibration in model.calibrations.items()},
    }
    return replace(model, card=save_model(folder, tensors, replace(card, inputs=inputs)))


def load_idm(folder: Path, *, preset: str = "") -> IdmModel:
    """Read a model; see `groot.checkpoint.load_card` for what is refused."""
    folder = Path(folder)
    card = load_card(folder, kind=KIND, preset=preset)
    config = config_from_json(card.config)
    tensors = load_tensors(folder / WEIGHTS_FILE)
    network = Idm(config)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BESIDE)}
    put_tensors(network, own, source=str(folder))
    try:
        heads = card.inputs["heads"]
        targets = {head: EmbodimentTargets.from_json(card.inputs["targets"][head]) for head in heads}
        cameras = {view: tuple(card.inputs["cameras"][view]) for view in config.views}
        stored = card.inputs["calibrations"]
        calibrations = {head: Calibration.from_json(stored[head]) for head in heads if head in stored}
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"the card in {folder} lacks or misstates {error}") from error
    familiar = {
        head: Familiarity(
            mean=tensors[f"{_FAMILIAR}/{head}/mean"].double().numpy(),
            whitening=tensors[f"{_FAMILIAR}/{head}/whitening"].double().numpy(),
        )
        for head in heads
        if f"{_FAMILIAR}/{head}/mean" in tensors
    }
    scenes = {head: SceneFamiliarity.of_arrays(named) for head, named in _by_head(tensors, _SCENE, heads)}
    controllers = {head: Controller.of_arrays(named) for head, named in _by_head(tensors, _CONTROLLER, heads)}
    return IdmModel(
        network=network.eval(),
        config=config,
        targets=targets,
        cameras=cameras,
        calibrations=calibrations,
        familiar=familiar,
        scenes=scenes,
        controllers=controllers,
        card=card,
    )


def _by_head(
    tensors: Mapping[str, torch.Tensor], what: str, heads: Sequence[str]
) -> Iterator[tuple[str, dict[str, NDArray[np.float64]]]]:
    """The arrays that are kept as `what` of each head, where there are any."""
    for head in heads:
        prefix = f"{what}/{head}/"
        named = {name.removeprefix(prefix): rows for name, rows in tensors.items() if name.startswith(prefix)}
        if named:
            yield head, {name: tensor.double().numpy() for name, tensor in named.items()}


def config_from_json(record: Mapping[str, Any]) -> IdmConfig:
    """The inverse of `dataclasses.asdict` for a model's config, after a trip through JSON."""
    values = dict(record)
    tower = values.pop("tower", None)
    encoder = {name: _tuples(value) for name, value in values.pop("encoder").items()}
    flow = FlowConfig(**values.pop("flow"))
    return IdmConfig(
        **{name: _tuples(value) for name, value in values.items()},
        flow=flow,
        encoder=IdmEncoderConfig(**encoder),
        tower=None if tower is None else BackboneConfig(**{name: _tuples(value) for name, value in tower.items()}),
    )


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
