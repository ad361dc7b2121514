"""Neural trajectories: clips that an image-to-video model makes from a first frame and an instruction (GR00T N1, arXiv
2503.14734, section 2.2 and appendix F)."""

from pathlib import Path

STARTER = "starter"


def model_reference(name: str) -> str:
    """Where the model called `name` lies: the shipped starter, a folder, or a hub id."""
    return str(Path(__file__).parent / STARTER) if name == STARTER else name
