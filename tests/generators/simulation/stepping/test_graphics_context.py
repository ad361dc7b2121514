"""What must be loaded before an OpenGL context is loaded before it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]

STUB = """
with open("/proc/self/maps") as maps:
    if "libLLVM" in maps.read():
        raise SystemExit("triton was imported after Mesa had loaded its LLVM")
"""
DRAW = """
import sys
from generators.simulation.stepping.graphics_context import open_renderer
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='.1'/></worldbody></mujoco>")
open_renderer(model, height_px=16, width_px=16).close()
with open("/proc/self/maps") as maps:
    print("libLLVM" in maps.read(), "triton" in sys.modules)
import triton
"""


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A package called triton that ends the process where the real one would crash it."""
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text(STUB)
    return tmp_path


def run(program: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_triton_is_imported_before_the_context_where_it_is_installed(stub: Path) -> None:
    done = run(DRAW, stub, ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "True"


def test_the_stub_fails_a_program_that_makes_its_context_first(stub: Path) -> None:
    """Otherwise the test above could not fail."""
    own = DRAW.replace("open_renderer(model, height_px=16, width_px=16)", "mujoco.Renderer(model, 16, 16)")
    done = run(own, stub, ROOT)
    if done.stdout.startswith("False"):
        pytest.skip("this machine draws without LLVM")
    assert "after Mesa had loaded its LLVM" in done.stderr
