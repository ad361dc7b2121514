"""The keypoint encoder: places, masks, words."""

from dataclasses import replace

import torch

from groot.encoders.keypoint_encoder import KeypointEncoder, KeypointTrunk, word_numbers
from groot.presets import BackboneConfig

CONFIG = BackboneConfig(kind="keypoints", width=16, image_px=(32, 32), keypoints=4, views=2)


def encoder() -> KeypointEncoder:
    torch.manual_seed(0)
    return KeypointEncoder(CONFIG).eval()


def images(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 255, (batch, 2, 32, 32, 3), generator=generator, dtype=torch.uint8)


def test_keypoints_move_with_what_they_look_at() -> None:
    torch.manual_seed(0)
    trunk = KeypointTrunk(keypoints=8, channels=16)
    pixels = torch.zeros(2, 3, 64, 64)
    pixels[0, :, 24:32, 16:24] = 1.0
    pixels[1, :, 24:32, 32:40] = 1.0
    before, after = trunk(pixels)[0].detach()
    sideways, upwards = (after - before).abs().amax(dim=0)
    assert float(sideways) > 1e-3
    assert float(upwards) < float(sideways) / 5, "it moved sideways only"


def test_a_missing_view_changes_nothing() -> None:
    model, seen = encoder(), images()
    mask = torch.tensor([[True, False], [True, True]])
    changed = seen.clone()
    changed[0, 1] = 0
    one = model({"images": seen, "view_mask": mask}).values_BSC
    other = model({"images": changed, "view_mask": mask}).values_BSC
    assert torch.equal(one, other)
    assert not torch.equal(one, model({"images": seen}).values_BSC)


def test_the_order_of_words_matters_and_padding_does_not() -> None:
    model, seen = encoder(), images()
    told = word_numbers(["stack red on green", "stack green on red"])
    same = torch.stack([seen[0], seen[0]])
    red, green = model({"images": same, "text": told}).values_BSC[:, 4:]
    assert not torch.allclose(red, green, atol=1e-4)
    padded = torch.cat([told, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    tokens = model({"images": same, "text": padded})
    assert torch.allclose(tokens.values_BSC[:, 4:8], torch.stack([red, green]), atol=1e-5)
    assert not tokens.mask_BS[:, 8:].any()


def test_the_instruction_reaches_the_places_and_at_first_changes_nothing() -> None:
    model = KeypointEncoder(replace(CONFIG, film=True)).eval()
    model.load_state_dict(encoder().state_dict(), strict=False)
    same = images()[:1].repeat(2, 1, 1, 1, 1)
    batch = {"images": same, "text": word_numbers(["lift the red cube", "lift the green cube"])}
    assert torch.equal(model(batch).values_BSC, encoder()(batch).values_BSC)
    red, green = model(batch).values_BSC[:, :4]
    assert torch.allclose(red, green, atol=1e-6)
    assert model.film is not None
    torch.nn.init.normal_(model.film.weight)
    red, green = model(batch).values_BSC[:, :4]
    assert not torch.allclose(red, green, atol=1e-3)
