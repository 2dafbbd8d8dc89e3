"""The results file of a sweep: JSON lines, appended one finished point at a time.

The first line binds the file to images and options; then a line a model and a line a point. Each
line is on the disk before the next point is taken on, so a sweep that is killed loses none.
"""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from math import inf, isfinite
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any
from zlib import crc32

import esnsim
from esnsim.errors import EsnsimError
from esnsim.files.records import from_record
from esnsim.sweeps.points import Baseline, Candidate, Point

CHECKSUM = "crc32"  # key of a line: of the rest of it, as it is written
SCHEMA = "esnsim.pareto-results/1"
MOST_BYTES = 1 << 30  # bytes of a file that is read back
INFORMATION = ("schema", "esnsim")  # keys of the header that may differ


class ResultsError(EsnsimError):
    """A results file that cannot be gone on with, or not be written."""


class Finished(AbstractContextManager["Finished"]):
    """What a sweep has found so far, in memory: models in float, and points."""

    path: Path | None = None

    def __init__(self) -> None:
        self.baselines: dict[str, Baseline] = {}
        self.points: dict[Candidate, Point] = {}

    def add(self, item: Baseline | Point) -> None:
        """A finished item."""
        if isinstance(item, Baseline):
            self.baselines[item.model] = item
        else:
            self.points[item.candidate] = item

    def __exit__(self, *error: object) -> None:
        """Nothing more will be added."""


class Results(Finished):
    """An open results file: what it holds, and where finished points go.

    `binding` is what the points depend on besides model and candidate. A file that is there
    already is only opened with `resume`; what it holds is never rewritten. Raises ResultsError.
    """

    path: Path

    def __init__(self, path: Path, binding: Mapping[str, Any], resume: bool = False) -> None:
        super().__init__()
        self.path, self._made = path, not path.exists()
        header = {"schema": SCHEMA, "esnsim": esnsim.__version__, **binding}
        self._file = self._open(resume)
        try:
            kept = self._read(header)
            if resume:
                self._file.truncate(kept)  # a line that a killed sweep did not finish
            self._file.seek(kept)
            if not kept:
                self._append(header)
        except BaseException:
            self._file.close()
            raise

    def add(self, item: Baseline | Point) -> None:
        """A finished item, on the disk when this returns. Raises ResultsError."""
        self._append({"kind": "model" if isinstance(item, Baseline) else "point", **_plain(item)})
        super().add(item)

    def __exit__(self, *error: object) -> None:
        """Close the file; one that was made for a sweep that failed before a point goes again."""
        self._file.close()
        if self._made and not self.points and any(isinstance(e, EsnsimError) for e in error):
            self.path.unlink(missing_ok=True)

    def _open(self, resume: bool) -> IO[bytes]:
        try:
            mode = "r+b" if resume and self.path.exists() else "xb+"
            file = self.path.open(mode, buffering=0)
        except FileExistsError:
            raise ResultsError(
                f"'{self.path}' is there already: go on with --resume, or give another --results"
            ) from None
        except OSError as error:
            raise ResultsError(
                f"cannot write '{self.path}': {error.strerror}; give --results in a folder that "
                "exists and may be written to"
            ) from None
        _lock(file, self.path)
        return file

    def _read(self, header: Mapping[str, Any]) -> int:
        """Take in the lines of the file; how many bytes of it are whole lines."""
        status = os.fstat(self._file.fileno())
        if not S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise self._no_results()  # a device may never end
        text = self._file.read()
        whole = text[: text.rfind(b"\n") + 1]
        if not whole and not _line(header).startswith(text):
            raise self._no_results()
        for number, line in enumerate(whole.splitlines(), 1):
            record = self._record(line, number)
            if number == 1:
                self._check(record, header)
            else:
                self._take(record, number)
        return len(whole)

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
            known = record.pop(CHECKSUM, None)  # none in files of versions before 0.2.0
            whole = known is None or known == _checksum(record)
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise self._no_results() if number == 1 else self._damaged(number) from None
        if not whole:
            raise self._damaged(number)
        return dict(record)

    def _check(self, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        if found.get("schema") != SCHEMA:
            raise self._no_results()
        for key, value in header.items():
            if key not in INFORMATION and found.get(key) != value:
                difference = _difference(found.get(key), value)
                raise ResultsError(
                    f"'{self.path}' was made with other {key} ({difference}): give the same, or "
                    "another --results"
                )

    def _take(self, record: Mapping[str, Any], number: int) -> None:
        try:
            super().add(_item(record))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise self._damaged(number) from None

    def _append(self, record: Mapping[str, Any]) -> None:
        line = _line(record)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResultsError(
                f"cannot write '{self.path}': {error.strerror}; its {len(self.points)} finished "
                "points are kept: make room and go on with --resume"
            ) from None

    def _no_results(self) -> ResultsError:
        return ResultsError(
            f"'{self.path}' is no results file of esnsim pareto: give another --results"
        )

    def _damaged(self, number: int) -> ResultsError:
        return ResultsError(
            f"line {number} of '{self.path}' is damaged: delete that line and go on with --resume; "
            "the other points are kept"
        )


def opened(path: Path | None, binding: Mapping[str, Any], resume: bool = False) -> Finished:
    """A results file, or None kept in memory alone."""
    return Finished() if path is None else Results(path, binding, resume)


def _lock(file: IO[bytes], path: Path) -> None:
    """Two sweeps must not write to one file; systems without such locks go without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ResultsError(
            f"another sweep is writing to '{path}': give another --results"
        ) from None
    except OSError:  # a file system that has none
        return


def _difference(found: object, wanted: object) -> str:
    """The first thing that differs, for a message."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in (*wanted, *found):
            if found.get(key) != wanted.get(key):
                return f"{key} {_told(found, key)}, now {_told(wanted, key)}"
    return f"{found}, now {wanted}"


def _told(options: Mapping[str, Any], key: str) -> object:
    return options.get(key, "not given")


def _plain(item: Baseline | Point) -> dict[str, Any]:
    record = asdict(item)
    noise = record["evaluation"]["sqnr_db"]
    record["evaluation"]["sqnr_db"] = noise if isfinite(noise) else None  # no noise at all
    return record


def _item(record: Mapping[str, Any]) -> Baseline | Point:
    evaluation = record["evaluation"]
    noise = evaluation["sqnr_db"]
    kind = Baseline if record.get("kind") == "model" else Point
    evaluation = {**evaluation, "sqnr_db": inf if noise is None else noise}
    found: Baseline | Point = from_record(kind, {**record, "evaluation": evaluation})
    return found


def _line(record: Mapping[str, Any]) -> bytes:
    """A record with its checksum, as a line of the file."""
    return (_text({**record, CHECKSUM: _checksum(record)}) + "\n").encode()


def _checksum(record: Mapping[str, Any]) -> int:
    return crc32(_text(record).encode())


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False)
