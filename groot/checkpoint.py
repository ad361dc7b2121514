"""Models on disk: `model.safetensors` and `card.json` in one folder. Nothing is ever unpickled.

The card says what the weights are (kind, preset, config), what went in (inputs, data), what came out (metrics) and
which code made it. Its `content_hash` follows from kind, preset, config, inputs and the bytes of the weights: the
manifest of whatever the model labelled names it.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from storage.atomic_files import write_whole
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, SchemaError, WorldError
from storage.ids import canonical_json, content_id, file_hash

CARD_VERSION = 1
CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is and where it comes from; JSON values only.

    `config` rebuilds the module; `inputs` says what it looks at (cameras, image size, seconds, embodiments,
    normalisation); `data` names the data it was fitted on; `training` is the fit's config and its findings.
    """

    kind: str
    preset: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    weights_sha256: str = ""
    card_version: int = CARD_VERSION

    @property
    def content_hash(self) -> str:
        """The identity of the model: equal for equal weights, config and inputs."""
        return content_id(self.kind, self.preset, self.config, self.inputs, self.weights_sha256)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"content_hash": self.content_hash}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ModelCard":
        """The inverse of `to_json`; a card that was edited (its content hash does not fit) raises CorruptFileError."""
        values = dict(record)
        stated = values.pop("content_hash", None)
        unknown = sorted(values.keys() - cls.__dataclass_fields__.keys())
        if unknown or values.get("card_version") != CARD_VERSION:
            raise SchemaError(
                f"expected a model card of version {CARD_VERSION}; got version {values.get('card_version')}"
                f" with unknown keys {unknown}; fit the model again or use the code that wrote it"
            )
        card = cls(**values)
        if stated != card.content_hash:
            raise CorruptFileError(
                f"the card states content hash {stated}, its content gives {card.content_hash}: it was edited"
            )
        return card


def save_model(folder: Path, module: nn.Module | Mapping[str, Tensor], card: ModelCard) -> ModelCard:
    """Write weights and card into `folder`; returns the card with its weights' hash.

    The card is written last: a folder without one holds no model. An older model in `folder` is replaced, other files
    are left alone. Parameters that are shared are written once for each of their names.
    """
    tensors = module.state_dict() if isinstance(module, nn.Module) else module
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{WEIGHTS_FILE}.{os.getpid()}"
    try:
        save_tensors(staged, tensors)
        card = replace(card, weights_sha256=file_hash(staged), commit=card.commit or code_commit())
        # Through canonical JSON, so that the hash of the card read back is the hash of the card written.
        card = replace(card, **{name: json.loads(canonical_json(getattr(card, name))) for name in _JSON_FIELDS})
        (folder / CARD_FILE).unlink(missing_ok=True)
        staged.replace(folder / WEIGHTS_FILE)
    finally:
        staged.unlink(missing_ok=True)
    write_whole(folder / CARD_FILE, (json.dumps(card.to_json(), indent=1, sort_keys=True) + "\n").encode())
    return card


_JSON_FIELDS = ("config", "inputs", "data", "training", "metrics")


def load_card(folder: Path, *, kind: str, preset: str = "") -> ModelCard:
    """The card in `folder`, checked: of this `kind`, of this `preset` when one is given, weights unharmed."""
    folder = Path(folder)
    if folder.is_file() or folder.suffix in _PICKLES:
        raise InputError(
            f"expected a model folder with {WEIGHTS_FILE} and {CARD_FILE}; got the file {folder}."
            " Pickled checkpoints are refused, because reading one runs the code inside; convert it to safetensors"
        )
    try:
        record = json.loads((folder / CARD_FILE).read_text())
    except FileNotFoundError:
        raise MissingFileError(f"{folder} holds no {CARD_FILE}; expected a model folder written by a fit") from None
    except json.JSONDecodeError as error:
        raise CorruptFileError(f"{folder / CARD_FILE} is not JSON: {error}") from error
    card = ModelCard.from_json(record)
    if card.kind != kind or (preset and card.preset != preset):
        raise ConfigError(
            f"expected a model of kind {kind!r}{f' and preset {preset!r}' if preset else ''};"
            f" {folder} holds kind {card.kind!r}, preset {card.preset!r}"
        )
    if not (folder / WEIGHTS_FILE).exists():
        raise MissingFileError(f"{folder} holds a card but no {WEIGHTS_FILE}")
    refuse_pickle(folder / WEIGHTS_FILE)
    weights_hash = file_hash(folder / WEIGHTS_FILE)
    if weights_hash != card.weights_sha256:
        raise CorruptFileError(
            f"{folder / WEIGHTS_FILE} has SHA-256 {weights_hash}, its card says {card.weights_sha256}; copy it again"
        )
    return card


def load_weights(folder: Path, module: nn.Module) -> None:
    """Put the weights of `folder` into `module`; ConfigError names the tensors that do not fit, if any."""
    put_tensors(module, load_tensors(Path(folder) / WEIGHTS_FILE), source=str(folder))


def put_tensors(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """`module.load_state_dict`, strict, with an error that says which names and shapes differ."""
    own = module.state_dict()
    wrong = [f"{name}: missing" for name in own.keys() - tensors.keys()]
    wrong += [f"{name}: not part of this model" for name in tensors.keys() - own.keys()]
    wrong += [
        f"{name}: shape {tuple(tensors[name].shape)} where {tuple(own[name].shape)} is expected"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    if wrong:
        listing = "; ".join(sorted(wrong)[:5])
        raise ConfigError(
            f"{source} holds the weights of another model, {len(wrong)} of {len(own)} tensors differ: {listing}"
        )
    module.load_state_dict(dict(tensors))


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` as safetensors; views and shared storage are copied apart first. Raises WorldError where the disk
    is full or cannot be written."""
    with writing(path):
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what safetensors says of a disk that takes no more into a WorldError that names `path`."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise WorldError(f"cannot write {path}: {error}; make room or choose a folder that can be written") from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; anything else, a pickle above all, raises CorruptFileError or InputError."""
    if not path.exists():
        raise MissingFileError(f"no weights at {path}")
    refuse_pickle(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise CorruptFileError(f"{path} is not a safetensors file: {error}") from error
    return tensors


def refuse_pickle(path: Path) -> None:
    """Raise InputError when `path` is a pickle or a zip of pickles, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(9)
    # A safetensors file may begin with the same byte as a pickle (it is a length), but byte 8 opens its header.
    pickled = head[:1] == b"\x80" and head[8:9] != b"{"
    if path.suffix in _PICKLES or pickled or head[:4] == b"PK\x03\x04":
        raise InputError(
            f"{path} is a pickle; it is refused, because reading one runs the code inside. Convert it to safetensors"
        )


def code_commit() -> str:
    """The commit of the checkout this code runs from, "" where there is none (an installed copy, a cluster's copy)."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def parameter_count(module: nn.Module, *, trainable_only: bool = False) -> int:
    """Numbers in the parameters of `module`; works on the meta device too."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)


def on_meta_device(build: Any, /, *arguments: Any) -> nn.Module:
    """`build(*arguments)` without memory for its weights, to count parameters of models that would not fit."""
    with torch.device("meta"):
        module: nn.Module = build(*arguments)
    return module
