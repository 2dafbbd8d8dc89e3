"""A model run on all images from stop to stop, every node once, what is read later being kept."""

import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from tempfile import TemporaryFile

import numpy as np

from esnsim.graph.model import Model
from esnsim.graph.nodes import reads
from esnsim.graph.sites import Slot
from esnsim.graph.substitute import copied, renamed
from esnsim.model.network import Array
from esnsim.run.session import Value, open_session, to_array, to_runtime

KEPT = 1 << 29  # bytes of values in memory; the others lie in unnamed temporary files


class Walk:
    """A model on its way from stop to stop: all that its nodes before a place give, by batch.

    What it reads at `slots` is not the model's own but what `put` and `spread` give before a node
    there runs. A value is kept until the last node before `end` that reads it, or until the place
    that it is `wanted` at.
    """

    def __init__(
        self, model: Model, feeds: Iterable[Mapping[str, Array]], end: int,
        wanted: Mapping[str, int] | None = None, slots: Iterable[Slot] = (), threads: int = 0,
    ) -> None:  # fmt: skip
        proto = copied(model)
        self._names = renamed(model, proto, dict.fromkeys(slots, np.empty(0)))
        self._model = replace(model, proto=proto)
        self._threads, self.at = threads, 0
        self._given: dict[str, Array] = {}
        self._batches: list[dict[str, Value]] = [dict(feed) for feed in feeds]
        self._last = {
            name: place for place, node in enumerate(proto.graph.node[:end]) for name in reads(node)
        }
        for name, place in (wanted or {}).items():
            self._last[name] = max(place, self._last.get(name, 0))

    def put(self, slot: Slot, array: Array) -> None:
        """Give all batches the same constant at a slot."""
        self._given[self._names[slot]] = np.ascontiguousarray(array)

    def spread(self, slot: Slot, arrays: Sequence[Array]) -> None:
        """Give each batch a value of its own at a slot."""
        for values, array in zip(self._batches, arrays, strict=True):
            values[self._names[slot]] = array

    def replace(self, name: str, arrays: Sequence[Array]) -> None:
        """Let a value that has been computed be another one, batch by batch."""
        for values, array in zip(self._batches, arrays, strict=True):
            values[name] = array

    def rest(self) -> None:
        """Let what was read of temporary files leave memory."""
        for values in self._batches:
            for value in values.values():
                _rest(value)

    def holds(self, name: str) -> bool:
        """Whether a value is read from here on."""
        return name in self._batches[0]

    def values(self, name: str) -> list[Array]:
        """A value that is read from here on, of each batch."""
        return [to_array(values[name]) for values in self._batches]

    def tried(self, place: int) -> list[Array]:
        """What the node at the walk's place gives first, of each batch, with what it reads so far.

        Raises ModelError where ONNX Runtime can't run it.
        """
        node = self._model.proto.graph.node[place]
        node.output[0] = node.output[0] or f"{place}.first"
        return [
            to_array(found[node.output[0]]) for found in self._given_by([place], node.output[:1])
        ]

    def advance(self, place: int) -> None:
        """Run the nodes before a place.

        Raises ModelError where ONNX Runtime can't; they then run with those up to the next place.
        """
        self.rest()
        nodes = [
            at for at in range(self.at, place)
            if not self._model.constants.issuperset(self._model.nodes[at].output)
        ]  # fmt: skip
        made = [
            name for at in nodes for name in self._model.nodes[at].output
            if self._last.get(name, -1) >= place
        ]  # fmt: skip
        if made:
            new = [*self._given_by(nodes, made)]
            for values, found in zip(self._batches, new, strict=True):
                values |= found
        self.at = place
        for values in self._batches:
            for name in [name for name in values if self._last.get(name, -1) < place]:
                del values[name]

    def _given_by(self, nodes: Sequence[int], made: Sequence[str]) -> Iterator[dict[str, Value]]:
        """What nodes make, batch by batch."""
        read = {name for at in nodes for name in reads(self._model.nodes[at])}
        first = self._batches[0] | self._given
        types = {name: to_runtime(v).data_type() for name, v in first.items() if name in read}
        session = open_session(
            self._model, nodes, types, made, self._threads, optimised=True, arena=False
        )
        room = KEPT - sum(map(_bytes, self._batches))
        for values in self._batches:
            found = dict[str, Value]()
            for name, value in session.run(values | self._given).items():
                found[name], room = _held(value, room)
            yield found


def _bytes(values: Mapping[str, Value]) -> int:
    """Of values in memory."""
    arrays = [value for value in values.values() if isinstance(value, np.ndarray)]
    return sum(array.nbytes for array in arrays if not isinstance(array, np.memmap))


def _held(value: Value, room: int) -> tuple[Value, int]:
    """A value where there is room for it, and the room that is left."""
    if not isinstance(value, np.ndarray) and not value.is_tensor():
        return value, room
    array = to_array(value)
    if array.nbytes <= room or not array.nbytes:
        return array, room - array.nbytes
    with TemporaryFile() as file:  # the map keeps the file, without a name, until it goes
        stored = np.memmap(file, array.dtype, "w+", shape=array.shape)
    stored[...] = array
    _rest(stored)
    return stored, room


def _rest(value: Value) -> None:
    """Take the pages of a mapped file from this process; the file keeps them."""
    if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap):
        value.base.madvise(mmap.MADV_DONTNEED)
