"""The scan of a model file that leaves large tensors out.

- the skeleton with its spans holds what the file holds
- no large tensor is left in it
- a file that is cut, flipped or made up gives a skeleton or a ModelError, and nothing else
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, numpy_helper

from esnsim import ModelError
from esnsim.files.opened import File
from esnsim.onnxfile.tensors import Store
from esnsim.onnxfile.wire import SMALL, SPAN, skeleton
from tests.samples import SAMPLES
from tests.strategies import protos

BULK = ("raw_data", "float_data", "double_data", "external_data")


def inside(message: Message) -> Iterator[TensorProto]:
    """Every tensor of a message, in order."""
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for child in value if field.is_repeated else [value]:
                yield from inside(child)


def held(data: bytes) -> File:
    """A file of these bytes."""
    file = TemporaryFile(buffering=0)  # noqa: SIM115
    file.write(data)
    return File(file, Path("model.onnx"))


def scanned(data: bytes) -> ModelProto:
    return ModelProto.FromString(skeleton(held(data)))


def assert_same(data: bytes) -> None:
    whole, bones = ModelProto.FromString(data), scanned(data)
    store = Store(held(data))
    for tensor, bone in zip(inside(whole), inside(bones), strict=True):
        values = store.reader(bone, bone.name)()
        np.testing.assert_array_equal(values, numpy_helper.to_array(tensor))
        for field in BULK:
            tensor.ClearField(field)
            bone.ClearField(field)
    assert whole == bones


@given(protos())
def test_the_skeleton_and_its_spans_hold_what_the_file_holds(proto: ModelProto) -> None:
    assert_same(proto.SerializeToString())


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_scanned_without_loss(name: str) -> None:
    assert_same(SAMPLES[name]().SerializeToString())


@given(protos())
def test_no_large_tensor_is_left_in_the_skeleton(proto: ModelProto) -> None:
    data = proto.SerializeToString()
    for tensor, bone in zip(inside(proto), inside(scanned(data)), strict=True):
        large = max(len(tensor.raw_data), 4 * len(tensor.float_data), 8 * len(tensor.double_data))
        assert [entry.key for entry in bone.external_data] == [SPAN] * (large >= SMALL)
        assert len(bone.raw_data) < SMALL


@given(st.binary() | st.binary().map(lambda b: b"\x08\x0a\x3a" + b))
def test_made_up_bytes_give_a_skeleton_or_a_model_error(data: bytes) -> None:
    scan(data)


@given(protos(), st.data())
def test_a_damaged_file_gives_a_skeleton_or_a_model_error(
    proto: ModelProto, data: st.DataObject
) -> None:
    file = bytearray(proto.SerializeToString())
    at, end = (data.draw(st.integers(0, len(file))) for _ in range(2))
    file[at:end] = data.draw(st.binary(max_size=20))
    scan(bytes(file))


def scan(data: bytes) -> None:
    try:
        bones = skeleton(held(data))
    except ModelError:
        return
    try:
        whole = ModelProto.FromString(data)
    except DecodeError:
        return
    assert len(list(inside(ModelProto.FromString(bones)))) == len(list(inside(whole)))


@given(protos(), st.data())
def test_a_file_cut_short_inside_a_field_is_refused(proto: ModelProto, data: st.DataObject) -> None:
    file = proto.SerializeToString()
    graph = file.index(b"\x3a")  # the tag of field 7
    end = graph + 2 + len(proto.graph.SerializeToString())
    cut = data.draw(st.integers(graph + 1, max(graph + 1, end - 2)))
    with pytest.raises(ModelError, match="cut short"):
        skeleton(held(file[:cut]))
