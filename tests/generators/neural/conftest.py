import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline by name, saved once."""
    from generators.neural.testing import save_tiny

    @cache
    def saved(name: str) -> Path:
        return save_tiny(name, tmp_path_factory.mktemp("pipelines") / name.replace(" ", "_").replace(".", "_"))

    return saved
