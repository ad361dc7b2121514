"""Sizes of the latent action model, as functions: `PRESETS[name]()` is a config to start from."""

from collections.abc import Callable

from lapa.network.decoder import DecoderConfig
from lapa.network.encoder import LapaEncoderConfig
from lapa.network.model import LapaConfig
from lapa.network.quantizer import QuantizerConfig


def lapa() -> LapaConfig:
    """LAPA's published sizes (arXiv 2410.11758; 256 px, patches of 32, 8 codes x 4, NSVQ).

    What differs: standard position codes and attention instead of the depthwise convolutions of its code base.
    """
    return LapaConfig(
        height_px=256,
        width_px=256,
        codes=4,
        code_dim=32,
        encoder=LapaEncoderConfig(
            stem="patch",
            second_input="later",
            readout="cells",
            patch_px=32,
            width=1024,
            heads=16,
            spatial_depth=8,
            temporal_depth=8,
        ),
        decoder=DecoderConfig(kind="transformer", patch_px=32, width=1024, depth=8, heads=16),
        quantizer=QuantizerConfig(kind="nsvq", codebook_size=8),
    )


def groot_n1() -> LapaConfig:
    """What GR00T N1 and DreamGen report: codebook of 8, sequence of 16 (arXiv 2505.12705, appendix). The quantiser with
    moving averages and the difference as second input are ours; everything that they do not publish is as in `lapa`."""
    return LapaConfig(
        height_px=256,
        width_px=256,
        codes=16,
        code_dim=32,
        encoder=LapaEncoderConfig(
            stem="patch",
            second_input="later",
            readout="queries",
            patch_px=16,
            width=1024,
            heads=16,
            spatial_depth=8,
            temporal_depth=8,
        ),
        decoder=DecoderConfig(kind="transformer", patch_px=16, width=1024, depth=8, heads=16),
        quantizer=QuantizerConfig(kind="vq", codebook_size=8),
    )


def starter() -> LapaConfig:
    """Trains in half an hour on a CPU core and ships with the project: convolutions, frame difference, 64 codes x 8."""
    return LapaConfig()


def tiny() -> LapaConfig:
    """A few thousand parameters, for tests."""
    return LapaConfig(
        height_px=32,
        width_px=32,
        codes=2,
        code_dim=4,
        encoder=LapaEncoderConfig(conv_widths=(8, 16), width=16, heads=2),
        decoder=DecoderConfig(widths=(8, 16)),
        quantizer=QuantizerConfig(codebook_size=8),
    )


PRESETS: dict[str, Callable[[], LapaConfig]] = {"lapa": lapa, "groot_n1": groot_n1, "starter": starter, "tiny": tiny}
