"""The document of a sweep: its schema, and its page."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from esnsim.report.sweep import document as pareto_document
from esnsim.sweeps.points import Point
from tests.compress.points import baseline, point, some_points, sweep

SCHEMA: dict[str, Any] = json.loads(
    (files("esnsim") / "schemas" / "pareto-1.json").read_text("utf-8")
)
PAGE = (Path(__file__).parents[2] / "docs" / "pareto.md").read_text("utf-8")
#: Integers of JSON Schema include 4.0; ours do not.
STRICT = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)(SCHEMA)


@given(some_points)
def test_every_document_fits_the_schema(points: list[Point]) -> None:
    STRICT.validate(json.loads(pareto_document.FORMS["json"].text(sweep(points))))


def keys(schema: Any) -> Iterator[str]:
    """The names of all properties."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from keys(value)


def test_the_page_names_every_key() -> None:
    named = set(re.findall(r"`([a-z_0-9]+)`", PAGE))
    assert set(keys(SCHEMA)) - {"weights"} <= named


@pytest.mark.parametrize("change", [{"cost": -1}, {"accuracy": 1.1}, {"esn_a_x4": 3}, {"new": 1}])
def test_the_schema_refuses_other_documents(change: dict[str, Any]) -> None:
    document = pareto_document.document(sweep([point(5, 0.9)], baseline()))
    document["points"][0] |= change
    assert not STRICT.is_valid(json.loads(json.dumps(document)))
