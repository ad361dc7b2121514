"""tf.train.Example without TensorFlow: its three messages, declared to the protobuf library at run time.

Example  { Features features = 1; }
Features { map<string, Feature> feature = 1; }
Feature  { oneof kind { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from storage.errors import CorruptFileError

_PACKAGE = "pyramid.tfexample"
_LISTS = (("BytesList", "TYPE_BYTES"), ("FloatList", "TYPE_FLOAT"), ("Int64List", "TYPE_INT64"))


def parse_example(where: str, content: bytes) -> dict[str, Any]:
    """Feature name -> list of bytes, or an array of float32 or int64; raises CorruptFileError."""
    example = _example_class()()
    try:
        example.ParseFromString(content)
    except (message.DecodeError, RuntimeError, ValueError) as error:
        raise CorruptFileError(f"{where} is no tf.train.Example ({error})") from error
    return {name: _values(feature) for name, feature in example.features.feature.items()}


def build_example(features: Mapping[str, Any]) -> bytes:
    """The inverse of `parse_example`, for tests and tools: bytes, or anything that numpy makes float or integer."""
    example = _example_class()()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes) or (isinstance(value, list) and value and isinstance(value[0], bytes)):
            feature.bytes_list.value.extend([value] if isinstance(value, bytes) else value)
            continue
        flat = np.asarray(value).reshape(-1)
        if flat.dtype.kind == "f":
            feature.float_list.value.extend(flat.tolist())
        else:
            feature.int64_list.value.extend(flat.astype(np.int64).tolist())
    content: bytes = example.SerializeToString(deterministic=True)
    return content


def _values(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    if kind == "bytes_list":
        return list(feature.bytes_list.value)
    if kind == "float_list":
        return np.asarray(feature.float_list.value, np.float32)
    return np.asarray(feature.int64_list.value if kind else (), np.int64)


@cache
def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="pyramid/tfexample.proto", package=_PACKAGE, syntax="proto3")
    proto = descriptor_pb2.FieldDescriptorProto
    for name, kind in _LISTS:
        message_type = file.message_type.add(name=name)
        field = message_type.field.add(name="value", number=1, label=proto.LABEL_REPEATED, type=getattr(proto, kind))
        if kind != "TYPE_BYTES":
            field.options.packed = True
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, _) in enumerate(_LISTS, 1):
        lower = name.replace("List", "_list").lower()
        reference = f".{_PACKAGE}.{name}"
        feature.field.add(
            name=lower,
            number=number,
            label=proto.LABEL_OPTIONAL,
            type=proto.TYPE_MESSAGE,
            type_name=reference,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=proto.LABEL_OPTIONAL, type=proto.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=proto.LABEL_OPTIONAL, type=proto.TYPE_MESSAGE, type_name=f".{_PACKAGE}.Feature"
    )
    features.field.add(
        name="feature",
        number=1,
        label=proto.LABEL_REPEATED,
        type=proto.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        label=proto.LABEL_OPTIONAL,
        type=proto.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Features",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))
