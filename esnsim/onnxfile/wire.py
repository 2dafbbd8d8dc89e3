"""A model file without its weights: the protobuf wire format scanned, large tensors left out.

Parsing a model together with its weights copies them, and stops at 2 GB; a scan takes
milliseconds. Where a tensor's bytes were, the skeleton holds an `external_data` entry whose key
is `SPAN` and whose value is "offset:length" of the bytes in the file.
"""

from collections.abc import Iterator

from esnsim.errors import ModelError
from esnsim.files.opened import File

Part = bytes | memoryview
SPAN = "esnsim.span"
SMALL = 1024  # bytes: messages below stay as they are, so small constants are parsed as usual
DEPTH = 100  # protobuf's own limit on nested messages

# Message -> {field number: message}, for the fields that lead to tensors (onnx.proto).
MESSAGES = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}  # fmt: skip
RAW_FIELDS = (9, 4, 10)  # raw_data; float_data and double_data, whose packed form is the same
EXTERNAL_DATA, VARINT, FIXED64, BYTES, FIXED32 = 13, 0, 1, 2, 5


def skeleton(data: File) -> bytes:
    """The serialised ModelProto of `data` with its large tensors replaced by their spans."""
    try:
        return b"".join(_message(data, 0, len(data), "Model", 0))
    finally:  # what a file that changes looks like is no error of its own
        data.check()


def _message(data: File, start: int, end: int, kind: str, depth: int) -> Iterator[Part]:
    if depth > DEPTH:
        raise ModelError(f"the model nests deeper than {DEPTH} messages: the file is damaged")
    children = MESSAGES[kind]
    kept = start  # bytes from here on are copied as they are
    for tag_at, number, wire, at, stop in _fields(data, start, end):
        child = children.get(number)
        if child is None or wire != BYTES or stop - at < SMALL:
            continue
        yield data.read(kept, tag_at)
        kept = stop
        if child == "Tensor":
            body = b"".join(_tensor(data, at, stop))
        else:
            body = b"".join(_message(data, at, stop, child, depth + 1))
        yield _field(number, body)
    yield data.read(kept, end)


def _tensor(data: File, start: int, end: int) -> Iterator[Part]:
    kept = start
    for tag_at, number, wire, at, stop in _fields(data, start, end):
        if number in RAW_FIELDS and wire == BYTES and stop - at >= SMALL:
            yield data.read(kept, tag_at)
            kept = stop
            key, value = SPAN.encode(), f"{at}:{stop - at}".encode()
            yield _field(EXTERNAL_DATA, _field(1, key) + _field(2, value))
    yield data.read(kept, end)


def _fields(data: File, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(position of the tag, field number, wire type, start and end of the value), in order."""
    at = start
    while at < end:
        tag_at = at
        tag, at = _varint(data, at, end)
        wire = tag & 7
        if wire == BYTES:
            length, at = _varint(data, at, end)
            stop = at + length
        elif wire == VARINT:
            _, stop = _varint(data, at, end)
        elif wire in (FIXED64, FIXED32):
            stop = at + (8 if wire == FIXED64 else 4)
        else:
            raise ModelError(
                f"not an ONNX file: wire type {wire} at byte {tag_at}; give a model saved by onnx"
            )
        if stop > end:
            raise ModelError(
                f"the file is damaged or cut short: a field at byte {tag_at} needs "
                f"{stop - end:,} bytes more than there are; copy or export the model again"
            )
        yield tag_at, tag >> 3, wire, at, stop
        at = stop


def _varint(data: File, at: int, end: int) -> tuple[int, int]:
    block, base = data.block(at)
    value = shift = 0
    while at < end and shift < 70:
        byte = block[at - base]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ModelError(f"not an ONNX file, or cut short: no number ends before byte {at:,}")


def _field(number: int, body: bytes) -> bytes:
    return _encode(number << 3 | BYTES) + _encode(len(body)) + body


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
