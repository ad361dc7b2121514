import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage.errors import ConfigError, SchemaError
from storage.shards.jpeg_codec import JpegCodec
from storage.shards.writer import ShardWriter
from storage.testing import tiny_episode, tiny_images


def test_zarr_python_finds_the_codec_without_importing_this_project(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "one.zarr", unit_id="u") as writer:
        writer.add(tiny_episode(length=4))
        writer.close()
    program = "import zarr, sys; print(zarr.open_array(sys.argv[1], mode='r')[:].mean())"
    command = [sys.executable, "-c", program, str(tmp_path / "one.zarr/video/front")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert float(printed) == pytest.approx(tiny_episode(length=4).cameras["front"].decode().mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_what_zarr_python_writes_with_the_codec_it_reads_within_the_codecs_error(channels: int) -> None:
    images = tiny_images(steps=3)[..., :channels]
    codec = JpegCodec(quality=95, subsampling=((1, 1), (1, 1), (1, 1)))
    array = zarr.create_array({}, shape=images.shape, chunks=(1, *images.shape[1:]), dtype="uint8", serializer=codec)
    array[:] = images
    assert np.abs(array[:].astype(int) - images).mean() < 3


def test_the_configuration_survives_json() -> None:
    codec = JpegCodec(quality=80, subsampling=((2, 1), (1, 1), (1, 1)))
    assert JpegCodec.from_dict(codec.to_dict()) == codec


@pytest.mark.parametrize(
    "configuration",
    [{"quality": 101}, {"subsampling": ((4, 4), (1, 1), (1, 1))}, {"encoded_color_space": "rgb"}],
)
def test_an_impossible_configuration_is_refused(configuration: dict) -> None:
    with pytest.raises(ConfigError):
        JpegCodec(**configuration)


@pytest.mark.parametrize(("shape", "dtype"), [((2, 8, 8, 3), "float32"), ((2, 8, 8, 4), "uint8"), ((2, 8), "uint8")])
def test_arrays_that_a_jpeg_cannot_hold_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    def write() -> None:
        array = zarr.create_array({}, shape=shape, chunks=(1, *shape[1:]), dtype=dtype, serializer=JpegCodec())
        array[:] = np.ones(shape, dtype=dtype)

    with pytest.raises(SchemaError):
        write()
