"""Arrays on the wire: what goes in comes out in every form; nothing is unpickled."""

import io
import pickle
from typing import Any

import msgpack
import numpy as np
import pytest

from groot.serving.arrays_on_the_wire import Form, pack, unpack
from storage.errors import SchemaError


@pytest.mark.parametrize("form", ["npy", "nd", "openpi"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64", "bool"])
def test_arrays_come_back_as_they_were(form: Form, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    message, came = unpack(pack({"a": {"b": [array, array.T]}, "text": "x", "n": 3}, form))
    assert came == form
    assert np.array_equal(message["a"]["b"][0], array)
    assert np.array_equal(message["a"]["b"][1], array.T)
    assert message["a"]["b"][0].dtype == array.dtype
    assert (message["text"], message["n"]) == ("x", 3)


def test_the_forms_are_those_of_the_field() -> None:
    array = np.ones((1, 2), np.float32)
    npy = msgpack.unpackb(pack({"x": array}, "npy"), raw=False)["x"]
    assert npy["__ndarray_class__"] is True
    assert np.array_equal(np.load(io.BytesIO(npy["as_npy"])), array)
    nd = msgpack.unpackb(pack({"x": array}, "nd"), raw=False, strict_map_key=False)["x"]
    assert (nd[b"nd"], nd[b"type"], nd[b"shape"], nd[b"data"]) == (True, "<f4", [1, 2], array.tobytes())
    openpi = msgpack.unpackb(pack({"x": array}, "openpi"), raw=False, strict_map_key=False)["x"]
    assert (openpi[b"__ndarray__"], openpi[b"dtype"], openpi[b"shape"]) == (True, "<f4", [1, 2])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"no msgpack at all",
        msgpack.packb({b"nd": True, b"type": "<f4", b"shape": [5], b"data": b"12"}),
        msgpack.packb({b"nd": True, b"type": "|O", b"shape": [1], b"data": pickle.dumps([1])}),
        msgpack.packb({b"nd": True}),
        msgpack.packb({"__ndarray_class__": True, "as_npy": b"junk"}),
        msgpack.packb({"__ndarray_class__": True}),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError):
        unpack(data)


def test_pickled_arrays_are_neither_read_nor_written() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SchemaError, match=r"no \.npy file"):
        unpack(msgpack.packb({"__ndarray_class__": True, "as_npy": file.getvalue()}))
    strange: Any = np.array([object()], dtype=object)
    with pytest.raises((SchemaError, ValueError)):
        pack({"x": strange}, "nd")
