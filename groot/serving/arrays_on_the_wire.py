"""Arrays inside msgpack messages, in the three forms that robot policies use.

    npy       Isaac-GR00T N1.5 and N1.6: {"__ndarray_class__": true, "as_npy": the bytes of an .npy file}
    nd        Isaac-GR00T N1.7 (the package msgpack_numpy): {b"nd": true, b"type", b"kind", b"shape", b"data"}
    openpi    openpi: {b"__ndarray__": true, b"data", b"dtype", b"shape"}

Nothing is ever unpickled: object arrays are refused. Reading takes all three forms.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError

Form = Literal["npy", "nd", "openpi"]


def pack(message: Any, form: Form) -> bytes:
    """`message` as msgpack with its numpy arrays in `form`."""
    packed: bytes = msgpack.packb(message, default=_WRITERS[form], use_bin_type=True)
    return packed


def unpack(data: bytes) -> tuple[Any, Form | None]:
    """The message in `data` with its arrays, and the form they had (None: there were none); raises SchemaError."""
    seen: list[Form] = []

    def array(record: dict[Any, Any]) -> Any:
        for form, (mark, read) in _READERS.items():
            if mark in record:
                seen.append(form)
                return read(record)
        return record

    try:
        message = msgpack.unpackb(data, object_hook=array, raw=False, strict_map_key=False)
    except SchemaError:
        raise
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
        raise SchemaError(f"expected one msgpack message; got {len(data)} bytes that are none: {error}") from error
    return message, (seen[0] if seen else None)


def _npy(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        raise SchemaError(f"a message holds numbers, text, lists, maps and arrays; got {type(value).__name__}")
    file = io.BytesIO()
    np.save(file, np.asarray(value), allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def _nd(value: Any) -> Any:
    array = _plain_array(value)
    return {
        b"nd": isinstance(value, np.ndarray),
        b"type": array.dtype.str,
        b"kind": b"",
        b"shape": array.shape,
        b"data": array.tobytes(),
    }


def _openpi(value: Any) -> Any:
    array = _plain_array(value)
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": array.dtype.str}
    return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": array.shape}


def _plain_array(value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind in "OV":
        raise SchemaError(f"a message holds arrays of numbers; got {getattr(value, 'dtype', type(value).__name__)}")
    return np.ascontiguousarray(value)


def _read_npy(record: Mapping[Any, Any]) -> Any:
    try:
        return np.load(io.BytesIO(record["as_npy"]), allow_pickle=False)
    except (ValueError, EOFError, OSError, KeyError, TypeError) as error:
        raise SchemaError(f"an array of the message is no .npy file: {error}") from error


def _read_nd(record: Mapping[Any, Any]) -> Any:
    kind = record.get(b"type")
    array = _from_bytes(record.get(b"data"), kind, record.get(b"shape", ()))
    return array if record[b"nd"] else array.reshape(-1)[0]


def _read_openpi(record: Mapping[Any, Any]) -> Any:
    return _from_bytes(record.get(b"data"), record.get(b"dtype"), record.get(b"shape"))


def _read_openpi_scalar(record: Mapping[Any, Any]) -> Any:
    return _dtype(record.get(b"dtype")).type(record.get(b"data"))


def _from_bytes(data: Any, kind: Any, shape: Any) -> NDArray[Any]:
    dtype = _dtype(kind)
    try:
        return np.frombuffer(data, dtype=dtype).reshape(tuple(shape))
    except (ValueError, TypeError) as error:
        raise SchemaError(f"an array of the message does not hold what it states: {error}") from error


def _dtype(kind: Any) -> np.dtype[Any]:
    try:
        dtype = np.dtype(kind.decode() if isinstance(kind, bytes) else kind)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"an array of the message has the unknown type {kind!r}") from error
    if kind is None or dtype.kind not in "biufSU":
        raise SchemaError(f"an array of the message has the type {kind!r}; only numbers are taken")
    return dtype


_WRITERS: Mapping[Form, Callable[[Any], Any]] = {"npy": _npy, "nd": _nd, "openpi": _openpi}
_READERS: Mapping[Any, tuple[Any, Callable[[Mapping[Any, Any]], Any]]] = {
    "npy": ("__ndarray_class__", _read_npy),
    "nd": (b"nd", _read_nd),
    "openpi": (b"__ndarray__", _read_openpi),
    "openpi scalar": (b"__npgeneric__", _read_openpi_scalar),
}
