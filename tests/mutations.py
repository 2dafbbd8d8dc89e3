"""Damage to model files, and runs of the command line over damaged ones."""

import contextlib
import json
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from tests.commandline import esnsim
from tests.importer.models import model
from tests.samples import SAMPLES, weights

DATA = "weights.bin"  # the file of external data
SIZES = (0, 1, -1, 2, 3, 7, 127, 255, 65535, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 62, -(1 << 63))
OPTIONS = (
    ["--json"], ["--csv", "--step", "filter-sigma"], ["--bits-per-filter"],
    ["--json", "--fold-batchnorm"], ["--json", "--bits-per-filter=3", "--width=paper"],
    ["--json", "--step=aciq", "--no-keep-zeros"], ["--json", "--step=0.1", "--bits=4"],
)  # fmt: skip
OPERATORS = (
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "ConvTranspose", "Einsum", "Expand", "Flatten", "Gather", "Gemm",
    "Identity", "If", "LSTM", "Loop", "MatMul", "OneHot", "Pad", "QLinearConv", "QuantizeLinear",
    "Range", "Reshape", "Resize", "Scan", "Shape", "Slice", "Split", "Tile", "Transpose",
)  # fmt: skip


def damaged(name: str, number: int) -> tuple[str, bytes]:
    """The kind of damage number `number` of a sample, and the bytes that are left."""
    rng = Random(f"{name} {number}")
    damage = rng.choice(DAMAGES)
    return damage.__name__, damage(rng, MODELS[name]().SerializeToString())


def external() -> ModelProto:
    """A convolution whose weights lie in another file."""
    proto = model("y = Conv(x, w)")
    tensor = proto.graph.initializer.add(name="w", data_type=1, dims=[4, 3, 3, 3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA), ("offset", "64"), ("length", "432")):
        tensor.external_data.add(key=key, value=value)
    return proto


def flip(rng: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 20))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def insert(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice((1, 4, 30))) + data[at:]


def delete(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 4, 30)) :]


def truncate(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def splice(rng: Random, data: bytes) -> bytes:
    other = MODELS[rng.choice(sorted(MODELS))]().SerializeToString()
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def mutate_fields(rng: Random, data: bytes) -> bytes:
    """One to four fields anywhere in the model set, cleared, doubled, removed or exchanged."""
    model = ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        messages = list(_messages(model))
        texts = sorted({t for message in messages for t in _texts(message)})
        message = rng.choice(messages)
        field = rng.choice([f for f, _ in message.ListFields()] or message.DESCRIPTOR.fields)
        if rng.random() < 0.1:
            field = rng.choice(message.DESCRIPTOR.fields)
        _mutate(rng, message, field, texts)
    return model.SerializeToString()


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for child in value if field.is_repeated else [value]:
                yield from _messages(child)


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from value if field.is_repeated else [value]


def _mutate(rng: Random, message: Message, field: FieldDescriptor, texts: list[str]) -> None:
    if field.is_repeated:
        _mutate_list(rng, getattr(message, field.name), field, texts)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if rng.random() < 0.5:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        value = getattr(message, field.name)
        with contextlib.suppress(ValueError):  # a number that the field cannot hold
            setattr(message, field.name, _value(rng, field, value, texts))


def _mutate_list(rng: Random, values: Any, field: FieldDescriptor, texts: list[str]) -> None:
    items = list(values)
    action = rng.choice(("remove", "double", "exchange", "set", "clear"))
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        action = "exchange" if action == "set" else action
    else:
        copies = items
    if action == "clear" or not copies:
        copies = [] if field.type == FieldDescriptor.TYPE_MESSAGE or items else [
            _value(rng, field, 0, texts)
        ]  # fmt: skip
    elif action == "remove":
        copies.pop(rng.randrange(len(copies)))
    elif action == "double":
        copies.insert(rng.randrange(len(copies) + 1), rng.choice(copies))
    elif action == "exchange":
        i, j = rng.randrange(len(copies)), rng.randrange(len(copies))
        copies[i], copies[j] = copies[j], copies[i]
    else:
        at = rng.randrange(len(copies))
        copies[at] = _value(rng, field, copies[at], texts)
    del values[:]
    with contextlib.suppress(ValueError):
        values.extend(copies)


def _value(rng: Random, field: FieldDescriptor, value: Any, texts: list[str]) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice([*texts, *OPERATORS, "", "\x1b[31m\n"])
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = bytes(value or b"") or b"\0"
        return rng.choice((b"", value[:-1], value * 2, bytes(len(value)), b"\xff" * len(value)))
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    return rng.choice((*SIZES, *range(30), value + 1, value - 1))


DAMAGES = (flip, insert, delete, truncate, splice, *[mutate_fields] * 5)
MODELS = {**SAMPLES, "external": external}


def outcome(path: Path, number: int) -> str | None:
    """What is wrong with the way in which the command line ends, None where nothing is."""
    try:
        code, out, err = esnsim("cost", path, *OPTIONS[number % len(OPTIONS)])
    except BaseException:
        return traceback.format_exc()
    lines = err.split("\n")[:-1]
    errors = [line for line in lines if line.startswith("esnsim: error: ")]
    good = code == 0 and not errors and (out[0] != "{" or json.loads(out))
    bad = code == 1 and len(errors) == 1 and not out and "out of memory" not in err
    if (good or bad) and all(line.startswith("esnsim: ") for line in lines):
        return None
    return f"exit code {code}, {err}"


def run(name: str, first: int, count: int) -> int:
    """How many damages of a sample ended wrongly; each is said before it is tried."""
    wrong = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        (Path(folder) / DATA).write_bytes(bytes(64) + weights(4, 3, 3, 3).tobytes())
        for number in range(first, first + count):
            path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is written over
            path.write_bytes(damaged(name, number)[1])
            print(f"{name} {number}", flush=True)
            found = outcome(path, number)
            if found is not None:
                wrong[number] = found
    print(*wrong.items(), sep="\n")
    return len(wrong)
