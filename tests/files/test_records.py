"""Records become dataclasses again, and what is none is refused."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.files.records import from_record


@dataclass(frozen=True)
class Inner:
    kind: Literal["a", "b"]
    pair: tuple[float, float]
    rest: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None
    counts: Mapping[int, int]
    share: float | None = None


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INNER = st.builds(
    Inner, st.sampled_from(["a", "b"]), st.tuples(FLOATS, FLOATS),
    st.lists(st.integers(), max_size=3).map(tuple),
)  # fmt: skip
OUTER = st.builds(
    Outer, st.text(), st.none() | INNER, st.dictionaries(st.integers(), st.integers()),
    st.none() | FLOATS,
)  # fmt: skip


@given(OUTER)
def test_what_is_written_is_read_back(item: Outer) -> None:
    assert from_record(Outer, json.loads(json.dumps(asdict(item)))) == item


@pytest.mark.parametrize(
    "change",
    [
        {"name": None, "counts": 3}, {"counts": {"x": 1}}, {"inner": {"kind": "c"}}, {"share": []},
        {"inner": {"kind": "a", "pair": [1.0]}}, {"inner": {"pair": [1.0, 2.0]}},
    ],
)  # fmt: skip
def test_other_values_are_refused(change: dict[str, Any]) -> None:
    record = {"name": "n", "inner": None, "counts": {}} | change
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_record(Outer, record)
