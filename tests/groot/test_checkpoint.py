"""Models on disk: round trip, identity, and everything that must be refused."""

import json
import pickle
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from groot.checkpoint import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCard,
    load_card,
    load_tensors,
    load_weights,
    parameter_count,
    save_model,
    save_tensors,
)
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, WorldError

CARD = ModelCard(kind="idm", preset="tiny", config={"width": 8, "shape": (1, 2)}, metrics={"r2": 0.5})


def module(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, width)


def test_weights_and_card_come_back_as_they_were(tmp_path: Path) -> None:
    saved = save_model(tmp_path / "model", module(), CARD)
    read = load_card(tmp_path / "model", kind="idm", preset="tiny")
    other = nn.Linear(3, 8)
    load_weights(tmp_path / "model", other)
    assert read == saved
    assert read.content_hash == saved.content_hash
    assert all(torch.equal(a, b) for a, b in zip(module().parameters(), other.parameters(), strict=True))


def test_the_content_hash_follows_weights_and_config_but_not_metrics(tmp_path: Path) -> None:
    first = save_model(tmp_path / "a", module(), CARD)
    same = save_model(tmp_path / "b", module(), replace(CARD, metrics={"r2": 0.9}))
    other = save_model(tmp_path / "c", module(), replace(CARD, config={"width": 9}))
    assert first.content_hash == same.content_hash != other.content_hash


def test_an_older_model_is_replaced_whole(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    save_model(tmp_path / "model", module(5), CARD)
    load_weights(tmp_path / "model", module(5))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_pickle_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    weights = tmp_path / "model" / WEIGHTS_FILE
    weights.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(InputError, match="pickle"):
        load_card(tmp_path / "model", kind="idm")
    torch.save({"weight": torch.zeros(1)}, weights)
    with pytest.raises(InputError, match="pickle"):
        load_tensors(weights)
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="Pickled checkpoints are refused"):
        load_card(tmp_path / "model.pt", kind="idm")


def test_another_preset_or_kind_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    with pytest.raises(ConfigError, match="preset 'tiny'"):
        load_card(tmp_path / "model", kind="idm", preset="starter")
    with pytest.raises(ConfigError, match="kind 'idm'"):
        load_card(tmp_path / "model", kind="lapa")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    weights = tmp_path / "model" / WEIGHTS_FILE
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CorruptFileError, match="SHA-256"):
        load_card(tmp_path / "model", kind="idm")


def test_an_edited_card_is_found(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    path = tmp_path / "model" / CARD_FILE
    record = json.loads(path.read_text())
    record["config"]["width"] = 9
    path.write_text(json.dumps(record))
    with pytest.raises(CorruptFileError, match="edited"):
        load_card(tmp_path / "model", kind="idm")


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    save_model(tmp_path / "model", module(), CARD)
    with pytest.raises(ConfigError, match=r"bias: shape \(8,\) where \(9,\)"):
        load_weights(tmp_path / "model", module(9))


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=CARD_FILE):
        load_card(tmp_path / "nothing", kind="idm")


def test_shared_tensors_survive(tmp_path: Path) -> None:
    tied = torch.ones(4)
    save_tensors(tmp_path / "t.safetensors", {"a": tied, "b": tied, "c": tied[:2]})
    assert load_tensors(tmp_path / "t.safetensors")["c"].tolist() == [1, 1]


def test_parameters_are_counted() -> None:
    layer = module()
    assert parameter_count(layer) == 32
    layer.requires_grad_(False)
    assert parameter_count(layer, trainable_only=True) == 0


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    save_model(tmp_path, module(), CARD)
    save_model(tmp_path, module(5), CARD)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD_FILE, WEIGHTS_FILE, "notes.txt"]


def test_a_disk_that_takes_no_more_is_one_error_that_names_the_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(WorldError, match=r"cannot write .*model\.safetensors.*make room"):
            save_model(tmp_path / "m", module(4000), CARD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "m").iterdir())
