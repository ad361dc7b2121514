"""What is measured on a GPU, followed on a CPU."""

import pytest
import torch

from benchmarks import gpu


@pytest.mark.slow
def test_every_part_runs_and_a_device_agrees_with_itself() -> None:
    figures = gpu.measured(torch.device("cpu"), frames=24, batch=1, clips=2)
    assert set(gpu.BARS) <= set(figures)
    assert figures["labels, largest difference from the CPU's"] == 0
    assert figures["action head recorded, largest difference"] == 0
    assert all(figure > 0 for name, figure in figures.items() if "difference" not in name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(SystemExit, match="torch sees none"):
        gpu.run(quick=True)
