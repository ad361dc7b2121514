"""What is wrong with training targets, said while the first batches go by and not after a night of training."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def target_findings(
    targets: NDArray[Any],
    mask: NDArray[np.bool_],
    *,
    names: Sequence[str] = (),
    constant: Iterable[int] = (),
    limit: float = 1.5,
) -> list[str]:
    """Findings about normalised `targets` (N, H, D) where `mask` (N, H, D) admits them.

    Reports numbers that are not finite, dimensions that never change though not declared `constant`, dimensions that
    lie outside of +-`limit` (take 5 under mean_std) in more than 1 % of the rows, and a batch without any target.
    """
    if not mask.any():
        return ["a batch holds no valid target at all: look at the validity mask and the window"]
    findings = []
    known = set(constant)
    for dimension in range(targets.shape[-1]):
        values = targets[..., dimension][mask[..., dimension]]
        if not len(values):
            continue
        name = names[dimension] if dimension < len(names) else f"dimension {dimension}"
        if not np.isfinite(values).all():
            findings.append(f"targets of {name} hold NaN or infinity")
            continue
        outside = float((np.abs(values) > limit).mean())
        if outside > 0.01:
            findings.append(f"targets of {name} lie outside of the normalised range in more than 1 % of the rows")
        if len(values) > 16 and dimension not in known and float(values.std()) < 1e-6:
            findings.append(f"targets of {name} never change")
    return findings
