"""docs/literature.md shows what the script computes, and that is Σ MAC·b."""

from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.literature import (
    ENDS,
    HAQ,
    INSIDE,
    PUBLISHED,
    Published,
    main,
    network,
    price,
    rows,
)

PAGE = Path(__file__).parents[2] / "docs" / "literature.md"


def test_the_page_holds_the_tables() -> None:
    page = PAGE.read_text()
    tables = main.render(main.measure(Namespace())).split("\n\n")
    assert len(tables) == 3
    assert all(table in page for table in tables)


def test_points_of_others_cost_what_their_texts_give() -> None:
    found = rows()
    assert len(found) == 201
    assert sum(row["own"] for row in found) == 177


def test_haq_has_a_width_for_each_layer_of_resnet50() -> None:
    assert len(HAQ) == len(network("resnet50").layers)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.method} {row.network}")
def test_mac_bits_are_macs_times_the_stated_widths(row: Published) -> None:
    macs = [layer.macs for layer in network(row.network).layers]
    bits = list(row.bits) if isinstance(row.bits, tuple) else [row.bits] * len(macs)
    if row.scope == INSIDE:
        bits[0] = bits[-1] = 0
    if row.scope == ENDS:
        bits[0] = bits[-1] = 8
    priced = price(row)
    assert priced.mac_bits == sum(m * b for m, b in zip(macs, bits, strict=True))
    assert priced.coded_macs + priced.float_macs == sum(macs)
