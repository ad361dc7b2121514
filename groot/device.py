"""The one choice of where models compute."""

import os
from pathlib import Path
from typing import Literal, get_args

import torch

from storage.errors import ConfigError, UnknownNameError

Device = Literal["auto", "cpu", "cuda"]
VARIABLE = "PYRAMID_DEVICE"
"""Says what "auto" means: `PYRAMID_DEVICE=cpu` keeps everything off the GPU, for tests for example."""


def device_of(name: str = "auto") -> torch.device:
    """The device that `name` stands for. "auto" is what the environment variable PYRAMID_DEVICE says, else the first
    GPU where there is one. Raises UnknownNameError, and ConfigError for "cuda" where there is no GPU."""
    chosen = os.environ.get(VARIABLE, "") or "auto" if name == "auto" else name
    if chosen not in get_args(Device):
        raise UnknownNameError.among("device", chosen, get_args(Device), hint=f"(a setting, or {VARIABLE})")
    there = torch.cuda.is_available()
    if chosen == "cuda" and not there:
        raise ConfigError('device "cuda" was asked for and torch sees no GPU; use "cpu", or "auto" for what is there')
    return torch.device("cuda" if chosen == "cuda" or (chosen == "auto" and there) else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bf16 in hardware; elsewhere it is emulated, ten times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def on_device(array: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`array` on `device`; on the way to a GPU through pinned memory, so that the copy overlaps with what computes."""
    if device.type != "cuda" or array.device.type != "cpu":
        return array.to(device)
    return array.pin_memory().to(device, non_blocking=True)
