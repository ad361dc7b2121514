"""Colours of every matrix and range against their published numbers, and what resizing keeps."""

import av
import numpy as np
import pytest

from storage.errors import ConfigError, UnknownNameError
from storage.formats.video.pixels import from_rgb, jpeg_planes, to_rgb
from storage.frames import frame_codec
from storage.pictures.resizing import Resize
from storage.testing import tiny_images

BT709, BT601, LIMITED, FULL = 1, 6, 1, 2


def _frame(
    y: int, cb: int, cr: int, *, name: str = "yuv420p", matrix: int = BT601, colour_range: int = LIMITED
) -> av.VideoFrame:
    frame = av.VideoFrame(8, 6, name)
    for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize(
    ("matrix", "colour_range", "red_ycbcr"),
    [
        (BT601, LIMITED, (81, 90, 240)),
        (BT709, LIMITED, (63, 102, 240)),
        (BT601, FULL, (76, 85, 255)),
        (BT709, FULL, (54, 99, 255)),
    ],
)
def test_red_is_red_in_every_matrix_and_range(
    name: str, matrix: int, colour_range: int, red_ycbcr: tuple[int, int, int]
) -> None:
    image = to_rgb(_frame(*red_ycbcr, name=name, matrix=matrix, colour_range=colour_range))
    assert image.shape == (6, 8, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize(("colour_range", "white"), [(LIMITED, 235), (FULL, 255)])
def test_white_and_grey_have_no_colour(colour_range: int, white: int) -> None:
    assert (to_rgb(_frame(white, 128, 128, colour_range=colour_range)) == 255).all()
    grey = to_rgb(_frame(100, 128, 128, matrix=BT709, colour_range=colour_range))
    assert (grey == grey[..., :1]).all()


def test_ten_bit_frames_give_the_same_colours(tmp_path: object) -> None:
    eight = _frame(81, 90, 240, name="yuv444p")
    ten = eight.reformat(format="yuv444p10le")
    ten.colorspace, ten.color_range = BT601, LIMITED
    assert np.abs(to_rgb(ten).astype(int) - to_rgb(eight)).max() <= 1


def test_encoding_and_decoding_a_colour_are_inverse() -> None:
    random = np.random.default_rng(0)
    image = random.integers(20, 235, (6, 8, 3), dtype=np.uint8)
    frame = from_rgb(image, "yuv444p")
    frame.colorspace = BT601
    assert np.abs(to_rgb(frame).astype(int) - image).max() <= 3


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_every_fit_gives_the_wanted_size(fit: str) -> None:
    image = np.full((30, 60, 3), 200, np.uint8)
    assert Resize(size_px=(20, 20), fit=fit)(image).shape == (20, 20, 3)  # type: ignore[arg-type]
    assert Resize(size_px=(90, 90), fit=fit)(image).shape == (90, 90, 3)  # type: ignore[arg-type]


def test_padding_keeps_the_aspect_ratio_between_black_bars() -> None:
    out = Resize(size_px=(20, 20), fit="pad")(np.full((30, 60, 3), 200, np.uint8))
    assert (out[5:15] == 200).all()
    assert not out[:5].any()
    assert not out[15:].any()


def test_cropping_keeps_the_middle() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 255
    assert (Resize(size_px=(20, 20), fit="crop")(image) == 255).all()


def test_shrinking_averages_areas() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert (Resize(size_px=(2, 2))(image) == 100).all()


def test_wrong_sizes_and_fits_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"size_px is \(height, width\)"):
        Resize(size_px=(0, 20))
    with pytest.raises(UnknownNameError, match="did you mean stretch"):
        Resize(size_px=(2, 2), fit="strech")  # type: ignore[arg-type]


@pytest.mark.parametrize("colour_range", [LIMITED, FULL])
@pytest.mark.parametrize("size_px", [(64, 48), (62, 50)])
def test_planes_become_the_same_picture_without_rgb(size_px: tuple[int, int], colour_range: int) -> None:
    (image,) = tiny_images(3, steps=1, height_px=size_px[0], width_px=size_px[1])
    frame = from_rgb(image, "yuv420p")
    frame.colorspace, frame.color_range = BT601, colour_range
    planes = jpeg_planes(frame)
    assert planes is not None
    codec = frame_codec("jpeg")
    straight, by_rgb = np.empty_like(image), np.empty_like(image)
    codec.decode_into(codec.encode_planes(planes), straight)
    codec.decode_into(codec.encode(to_rgb(frame)), by_rgb)
    difference = straight.astype(float) - by_rgb
    assert np.abs(difference).mean() < 1
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5


def test_only_planes_of_the_matrix_of_jpeg_skip_rgb() -> None:
    assert jpeg_planes(_frame(81, 90, 240)) is not None
    assert jpeg_planes(_frame(81, 90, 240, matrix=BT709)) is None
    assert jpeg_planes(_frame(81, 90, 240, name="yuv444p")) is None
    assert jpeg_planes(av.VideoFrame(7, 6, "yuv420p")) is None


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size_px", [(30, 40), (25, 33), (64, 64)])
def test_shrinking_on_the_way_is_shrinking_afterwards(fit: str, size_px: tuple[int, int]) -> None:
    (image,) = tiny_images(5, steps=1, height_px=120, width_px=160)
    frame = from_rgb(image, "yuv420p")
    frame.colorspace, frame.color_range = BT601, LIMITED
    resize = Resize(size_px=size_px, fit=fit)  # type: ignore[arg-type]
    difference = to_rgb(frame, resize).astype(float) - resize(to_rgb(frame))
    assert np.abs(difference).mean() < 1
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.25
