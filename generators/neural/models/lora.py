"""LoRA files: loaded with proof that they do something, saved so that plain diffusers reads them.

Files of some trainers load in diffusers without an error and without an effect: their keys have no prefix. Here keys
are brought to diffusers' form first, compared with the transformer they should fit, and after loading adapters must be
active, the change of the weights above zero and the output moved.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from storage.errors import ConfigError, CorruptFileError, MissingFileError

LORA_FILE = "pytorch_lora_weights.safetensors"
ADAPTER = "default"
"""diffusers' saving of adapter metadata knows this name only."""


def lora_file(path: str | Path) -> Path:
    """The weights of a LoRA: a safetensors file, or a folder with `pytorch_lora_weights.safetensors` or just one."""
    path = Path(path)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise MissingFileError(f"expected a LoRA as .safetensors; got {path}. Pickled weights are refused")
        return path
    files = sorted(path.glob("*.safetensors"))
    named = [one for one in files if one.name == LORA_FILE] or files
    if len(named) != 1:
        raise MissingFileError(f"expected a LoRA in {path}: a file {LORA_FILE}; found {len(named)} safetensors files")
    return named[0]


def load_lora(pipe: Any, path: str | Path, *, weight: float = 1.0) -> None:
    """Load a LoRA into `pipe` and prove that it acts; ConfigError when it was made for another model."""
    file = lora_file(path)
    if not hasattr(pipe, "load_lora_weights"):
        raise ConfigError(f"{type(pipe).__name__} takes no LoRA in this version of diffusers; leave --lora away")
    state = diffusers_keys(_read(file))
    _check_fits(state, pipe.transformer, file)
    before = _answer(pipe.transformer)
    with TemporaryDirectory() as folder:
        # From a file, never as a dict: with a dict diffusers forgets the header, and with it alpha.
        staged = file if state.keys() == _read(file).keys() else _written(state, file, Path(folder) / LORA_FILE)
        pipe.load_lora_weights(str(staged.parent), weight_name=staged.name, adapter_name=ADAPTER)
    if not pipe.get_active_adapters():
        raise ConfigError(f"{file} was loaded and no adapter is active: its keys are of an unknown trainer")
    pipe.set_adapters([ADAPTER], adapter_weights=[weight])
    if weight and not _moved(before, _answer(pipe.transformer)):
        raise ConfigError(f"{file} was loaded and changes nothing: its weights are zero (was it trained at all?)")


def diffusers_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as diffusers knows them: without ".default", and with a prefix where a trainer left it out."""
    plain = {key.replace(".default.", "."): value for key, value in state.items()}
    if any(key.startswith(("transformer", "diffusion_model.", "lora_unet")) for key in plain):
        return plain
    return {f"diffusion_model.{key}": value for key, value in plain.items()}


def _check_fits(state: Mapping[str, Any], transformer: Any, file: Path) -> None:
    """Compare keys in diffusers' own form with the transformer's layers; other forms are left to diffusers."""
    layers = dict(transformer.named_modules())
    for key, value in state.items():
        match = re.fullmatch(r"transformer(?:_2)?\.(.+)\.lora_A\.weight", key)
        if not match:
            continue
        layer = layers.get(match[1])
        width = getattr(layer, "in_features", None)
        if layer is None or (width is not None and value.ndim == 2 and value.shape[1] != width):
            what = "is not there" if layer is None else f"is {width} wide, the LoRA {value.shape[1]}"
            raise ConfigError(
                f"{file} was made for another base model: layer {match[1]} {what}; give the base it was trained on"
            )


def _read(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise CorruptFileError(f"{file} is not a safetensors file: {error}") from error


def _written(state: Mapping[str, Any], source: Path, target: Path) -> Path:
    """`state` as a file with the header of `source`."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(source, framework="pt") as opened:
        header = opened.metadata() or {}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, target, metadata=header)
    return target


def _answer(transformer: Any) -> Any:
    """Outputs of the layers that LoRAs usually sit on, for one fixed input: cheap, and without a whole forward pass."""
    import torch

    outputs = []
    for name, layer in transformer.named_modules():
        if re.search(r"(to_q|to_k|to_v|to_out\.0|net\.0\.proj|net\.2)$", name) and hasattr(layer, "in_features"):
            weight = layer.weight
            steady = torch.linspace(-1, 1, layer.in_features, device=weight.device, dtype=weight.dtype)
            with torch.no_grad():
                outputs.append(layer(steady[None]).float().cpu())
    return outputs


def _moved(before: Any, after: Any) -> bool:
    return any(float((old - new).abs().max()) > 0 for old, new in zip(before, after, strict=True))


def save_lora(pipe: Any, folder: Path, *, rank: int, alpha: float, targets: list[str]) -> Path:
    """Write the adapter of `pipe.transformer` as diffusers reads it, with rank and alpha in its header."""
    from peft.utils import get_peft_model_state_dict

    metadata = {"r": rank, "lora_alpha": alpha, "target_modules": targets}
    type(pipe).save_lora_weights(
        str(folder),
        transformer_lora_layers=get_peft_model_state_dict(pipe.transformer),
        transformer_lora_adapter_metadata=metadata,
        safe_serialization=True,
    )
    return Path(folder) / LORA_FILE
