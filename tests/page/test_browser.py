"""Pages in a real browser: Debian's chromium, headless; skipped where there is none.

AXE_CORE=…/axe.min.js (npm's axe-core) checks accessibility too.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.test_page import KINDS, NAMES, strange

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
AXE = os.environ.get("AXE_CORE")
NARROW, WIDE = {"width": 400, "height": 800}, {"width": 1200, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Shows a page's text, offline; what the console and the network said is in `said`."""
    context = browser.new_context(
        viewport=WIDE, offline=True, accept_downloads=True, bypass_csp=AXE is not None
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file") or said.append(request.url))

    def show(text: str) -> Any:
        (tmp_path / "page.html").write_text(text, "utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield show
    context.close()
    assert said == []


def column(page: Any, heading: str) -> list[float]:
    """The numbers of a column, as rows stand."""
    return list(page.evaluate(
        """(heading) => {
          const heads = [...document.querySelectorAll("table")[0].tHead.rows[0].cells];
          const place = heads.findIndex((head) => head.textContent === heading);
          const rows = [...document.querySelectorAll("table")[0].tBodies[0].rows];
          return rows.map((row) => Number(row.cells[place].dataset.value));
        }""", heading,
    ))  # fmt: skip


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(
    shown: Any, pages: dict[str, str], results: dict[str, Any]
) -> None:
    page = shown(pages["cost"])
    wanted = [row.metrics.esn_d_tilde.macs for row in results["cost"].layers]
    assert column(page, "ESNd~") == wanted != sorted(wanted)
    page.get_by_role("button", name="ESNd~").click()
    assert column(page, "ESNd~") == sorted(wanted, reverse=True)
    assert page.locator('th[aria-sort="descending"]').count() == 1
    page.get_by_role("button", name="ESNd~").click()
    assert column(page, "ESNd~") == sorted(wanted)
    page.get_by_role("button", name="layer").click()
    names = page.locator("tbody td:first-child").all_inner_texts()
    assert names == sorted(names, key=str.lower)


def test_what_is_typed_filters_the_rows(
    shown: Any, pages: dict[str, str], results: dict[str, Any]
) -> None:
    page = shown(pages["cost"])
    page.get_by_label("Filter", exact=True).fill("CON")
    wanted = [r.layer.name for r in results["cost"].layers if "Con" in r.layer.op]
    assert page.locator("tbody tr:visible td:first-child").all_inner_texts() == wanted
    assert page.get_by_role("status").inner_text() == f"{len(wanted)} of 4"


def test_a_pointer_over_a_point_of_the_frontier_tells_what_it_is(
    shown: Any, pages: dict[str, str]
) -> None:
    page = shown(pages["sweep"])
    assert page.locator("#tip").is_hidden()
    page.locator("[data-tip*='4 bits (uniform']").hover(force=True)
    assert "bits (uniform, layer-max)" in page.locator("#tip").inner_text()


def test_the_button_saves_the_document(
    shown: Any, pages: dict[str, str], results: dict[str, Any]
) -> None:
    page = shown(pages["cost"])
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the JSON").click()
    assert saved.value.suggested_filename == "esnsim-cost-1.json"
    assert json.loads(Path(saved.value.path()).read_text("utf-8")) == results["cost"].to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_pages_fit_a_telephone_and_paper_and_have_two_looks(
    kind: str, shown: Any, pages: dict[str, str]
) -> None:
    page = shown(pages[kind])
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    assert len(papers) == 2
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert min(sizes) > 6
    page.emulate_media(media="print")
    assert page.get_by_role("button", name="Save the JSON").is_hidden()


def test_names_of_strangers_run_nothing(shown: Any, tmp_path: Path) -> None:
    import esnsim
    from esnsim.page.html import html

    page = shown(html(esnsim.cost(strange(tmp_path))))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    names = page.locator("tbody td:first-child").all_text_contents()
    assert names == list(NAMES)
    for part in page.locator("[data-tip]").all()[:3]:
        part.hover(force=True)


@pytest.mark.skipif(AXE is None, reason="AXE_CORE names no axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(kind: str, scheme: str, shown: Any, pages: dict[str, str]) -> None:
    page = shown(pages[kind])
    page.emulate_media(color_scheme=scheme)
    page.add_script_tag(content=Path(str(AXE)).read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
