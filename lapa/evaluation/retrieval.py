"""Nearest neighbours between latents of different bodies: the same latent, another body (GR00T N1, figure 4)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def nearest(queries: Array, gallery: Array, *, count: int = 1) -> NDArray[np.int64]:
    """Rows of `gallery` (G, F) nearest to each of `queries` (Q, F) by cosine, (Q, count), nearest first.

    Each set is centred and scaled by its own statistics first, so that what tells the two bodies apart drops out.
    """
    similar = _standardised(queries) @ _standardised(gallery).T
    order: NDArray[np.int64] = np.argsort(-similar, axis=1, kind="stable")[:, :count]
    return order


def _standardised(rows: Array) -> NDArray[np.float64]:
    moved = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-8)
    unit: NDArray[np.float64] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
    return unit


def sectors(displacements: Array) -> NDArray[np.int64]:
    """Which of eight directions each displacement (P, 2) in the image plane has, (P,); 0 is along the first axis."""
    angle = np.arctan2(displacements[:, 1], displacements[:, 0])
    numbers: NDArray[np.int64] = np.round(angle / (np.pi / 4)).astype(np.int64) % 8
    return numbers


def same_direction_share(one: tuple[Array, Array], other: tuple[Array, Array], *, seed: int = 0) -> tuple[float, float]:
    """How often the nearest latent of the other body moves in the same one of eight directions, and how often a random
    one does. Each body is (latents (P, F), displacements in the image plane (P, 2)), moving pairs only.

    Both ways round are averaged.
    """
    random = np.random.default_rng(seed)
    hits, chances = [], []
    for (latents, moves), (others, other_moves) in ((one, other), (other, one)):
        truth, directions = sectors(moves), sectors(other_moves)
        hits.append(np.mean(directions[nearest(latents, others)[:, 0]] == truth))
        chances.append(np.mean(directions[random.integers(len(directions), size=(50, len(truth)))] == truth))
    return float(np.mean(hits)), float(np.mean(chances))
