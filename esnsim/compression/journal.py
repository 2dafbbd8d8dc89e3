"""What long work has finished, kept in a file as it goes: what was stopped goes on from there."""

import io
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from esnsim.errors import UsageError
from esnsim.model.network import Array, Network
from esnsim.quantization.quantizer import QuantizedNetwork

HEADER = struct.Struct("<Q")  # bytes of the record behind it
BOUND = "esnsim.compress.resume/1"


class Journal:
    """Arrays by name for each key, one record after another; one that was cut off is left out."""

    def __init__(self, path: Path, binding: str) -> None:
        """Read what is there of a run of this `binding`. Raises UsageError for another's file."""
        self._path, self._known = path, dict[str, Mapping[str, Array]]()
        if path.exists():
            self._read(binding)
        else:
            self.put(BOUND, {"binding": np.array(binding)})

    def get(self, key: str) -> Mapping[str, Array] | None:
        """What was put there, None where nothing was."""
        return self._known.get(key)

    def put(self, key: str, arrays: Mapping[str, Array]) -> None:
        """Keep arrays; they are on the disk when this returns."""
        record = io.BytesIO()
        np.savez_compressed(record, **{"key": np.array(key), **arrays})  # type: ignore[arg-type]
        data = record.getvalue()
        with self._path.open("ab") as file:
            file.write(HEADER.pack(len(data)) + data)
            file.flush()
            os.fsync(file.fileno())
        self._known[key] = arrays

    def finish(self) -> None:
        """Remove the file: the work is done."""
        self._path.unlink(missing_ok=True)

    def _read(self, binding: str) -> None:
        data, at = self._path.read_bytes(), 0
        while at + HEADER.size <= len(data):
            [size] = HEADER.unpack_from(data, at)
            end = at + HEADER.size + size
            if end > len(data):
                break
            found = self._record(data[at + HEADER.size : end])
            self._known[str(found.pop("key"))] = found
            at = end
        first = self._known.get(BOUND, {}).get("binding")
        if first is None or str(first) != binding:
            raise UsageError(
                f"'{self._path}' is not what another run of this command left: give that, or the "
                "name of a new file"
            )
        os.truncate(self._path, at)

    def _record(self, data: bytes) -> dict[str, Array]:
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, OSError, KeyError, EOFError) as error:
            raise UsageError(
                f"'{self._path}' can't be gone on with ({error}): give the name of a new file"
            ) from None


def recalled(journal: Journal | None, key: str, make: Callable[[], Sequence[Array]]) -> list[Array]:
    """The arrays that a journal has there, else those that are made, which it then keeps."""
    known = journal.get(key) if journal else None
    if known is None:
        known = {str(place): array for place, array in enumerate(make())}
        if journal:
            journal.put(key, known)
    return [known[str(place)] for place in range(len(known))]


def digest(quantized: QuantizedNetwork) -> str:
    """A digest of a network's nearest codes: widths and steps of its filters."""
    found = sha256()
    for row in quantized.layers:
        found.update(row.sums.width_code.tobytes() + row.steps.tobytes())
    return found.hexdigest()


def weights_digest(network: Network) -> str:
    """A digest of a network: its layers' names and weights."""
    found = sha256()
    for layer in network.layers:
        found.update(layer.name.encode() + layer.weight.load().tobytes())
    return found.hexdigest()
