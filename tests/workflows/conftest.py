"""Fixtures of the tests of commands."""

import pytest


@pytest.fixture(autouse=True)
def _commands_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that a test calls run in its process, where it can see what they print."""
    monkeypatch.setenv("PYRAMID_WATCH", "no")
