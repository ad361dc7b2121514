"""One small model that is really trained, shared by the tests that need a healthy one."""

from pathlib import Path

import pytest
import torch

from lapa.fitting.fit import LapaFit
from lapa.testing import fit_tiny


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[LapaFit, Path]:
    """A tiny model that passes its gates on moving squares, and its folder."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lapa") / "model"
    return fit_tiny(folder), folder
