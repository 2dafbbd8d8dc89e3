"""Pages: one file without outside links, whatever the names in it; --html of the commands."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import esnsim
from esnsim.page.html import html
from esnsim.page.page import facts
from esnsim.page.pages import page_of
from esnsim.report.machines.table import lost_to
from tests.architectures import resnet
from tests.commandline import esnsim as command
from tests.commandline import refused
from tests.importer.models import model
from tests.samples import saved, weights

KINDS = ("cost", "simulate", "machines", "compress", "sweep", "compare")
#: Names as a stranger may write them; the last are of matplotlib's own language.
NAMES = (
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "'\"><b>", "&amp;",
    "$x_$ \\frac{", "層 𝛼", "tip:a\" onload=\"alert(3)",
)  # fmt: skip


class Elements(HTMLParser):
    """The tags of a page with their attributes, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "td":
            self.cells[-1] += data


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_refers_to_nothing_outside(kind: str, pages: dict[str, str]) -> None:
    for tag, attributes in Elements(pages[kind]).found:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "@import" not in pages[kind]
    assert all(part.startswith("url(#") for part in re.findall(r"url\([^)]*", pages[kind]))


def document(page: str) -> Any:
    """The JSON that a page holds."""
    packed = re.search(r'id="document">([^<]*)<', page)
    assert packed
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_holds_the_document(
    kind: str, pages: dict[str, str], results: dict[str, Any]
) -> None:
    assert document(pages[kind]) == results[kind].to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_text_in_pictures_is_text_and_colours_are_the_pages(
    kind: str, pages: dict[str, str]
) -> None:
    drawn = pages[kind].split('<section class="pictures"')[1].split("</section>")[0]
    assert "<text" in drawn
    assert "var(--series-0)" in drawn
    assert "data-tip=" in drawn
    assert "#000000" not in drawn
    assert "\\mathdefault" not in drawn


def test_a_page_has_a_row_a_layer(pages: dict[str, str], results: dict[str, Any]) -> None:
    cells = Elements(pages["cost"]).cells
    assert all(row.layer.name in cells for row in results["cost"].layers)


def test_the_same_result_gives_the_same_page(
    pages: dict[str, str], results: dict[str, Any]
) -> None:
    assert html(results["cost"]) == pages["cost"]


def strange(folder: Path) -> Path:
    """A model whose layers are called by NAMES."""
    nodes = " ".join(f"v{i + 1} = Conv(v{i}, w{i})" for i in range(len(NAMES)))
    proto = model(
        nodes.replace("v0", "x").replace(f"v{len(NAMES)} =", "y ="), "float[1,2,3,4] x",
        **{f"w{i}": weights(2, 2, 1, 1) for i in range(len(NAMES))},
    )  # fmt: skip
    for node, name in zip(proto.graph.node, NAMES, strict=True):
        node.name = name
    return saved(proto, folder)


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    found = Elements(html(esnsim.cost(strange(tmp_path))))
    assert [tag for tag, _ in found.found].count("script") == 2
    assert not [tag for tag, attributes in found.found if tag in ("img", "b")]
    assert not [name for _, attributes in found.found for name in attributes if name[:2] == "on"]
    assert all(name in found.cells for name in NAMES)
    tips = [attributes["data-tip"] for _, attributes in found.found if "data-tip" in attributes]
    assert all(any(name in str(tip) for tip in tips) for name in NAMES)
    shown = Elements(esnsim.cost(strange(tmp_path))._repr_html_())
    assert not [tag for tag, _ in shown.found if tag in ("img", "b", "script")]
    assert all(name in shown.cells for name in NAMES)


def test_a_page_of_a_large_network_is_below_a_megabyte() -> None:
    pytest.importorskip("matplotlib")
    scheme = esnsim.Scheme(bits=4, rule="filter-max")
    assert len(html(esnsim.cost(resnet(3, 4, 6, 3), scheme=scheme)).encode()) < 1_000_000


def test_facts_are_labels_with_their_lines() -> None:
    lines = ["MAC×bit   98.2M, each", "          124M with", "width     3.15 bits"]
    assert facts(lines) == [("MAC×bit", ["98.2M, each", "124M with"]), ("width", ["3.15 bits"])]


def test_commands_write_the_page_beside_their_table(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for words in (["cost", tiny], ["simulate", tiny], ["simulate", tiny, "--machines", "loom"],
                  ["compress", tiny, "-o", "small.onnx", "--bits", 2]):  # fmt: skip
        plain = command(*words, "-q").out
        ended = command(*words, "-q", "--html", "page.html")
        assert (ended.code, ended.out) == (0, plain)
        assert Path("page.html").read_text("utf-8").startswith("<!doctype html>")
        Path("page.html").unlink()


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["cost", "--html", "page.txt"], "'page.txt': give a .html file", 2),
        (["cost", "--html", "nowhere/page.html"], "cannot write 'nowhere/page.html'", 1),
        (["cost", "--html", "a.html", "-o", "a.html"], "are one file", 2),
    ],
)
def test_a_page_that_cannot_be_is_refused_in_a_line(
    words: list[str], said: str, code: int, tiny: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    refused(command(words[0], tiny, *words[1:]), said, code=code)
    assert not Path("a.html").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--clock 1GHz", "inferences/s at 1.00GHz"),
        ("--compare schedules", "Cycles by layer"),
        ("--compare schedules --clock 1GHz", ">inferences/s<"),
        ("--compare digital analog", "crosses at"),
        ("--engine both --clock 1GHz", "Energy by layer, analog"),
    ],
)
def test_machines_side_by_side_and_speeds_are_a_page(
    words: str, told: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has the JSON of the command, a row a machine and a row a layer."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    ended = command("simulate", tiny, *words.split(), "--json", "-q", "--html", "page.html")
    page = Path("page.html").read_text("utf-8")
    found = json.loads(ended.out)
    assert document(page) == found
    assert told in page
    for each in found if isinstance(found, list) else [found]:
        cells = Elements(page).cells
        assert all(layer["name"] in cells for layer in each["layers"])
        assert isinstance(found, dict) or {each["machine"]["kind"], each["machine"].get(
            "schedule")} & {*cells}  # fmt: skip


def test_a_title_stands_above_the_legend(results: dict[str, Any], tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    figure = results["machines"].plot()
    figure.canvas.draw()
    assert len(figure.subfigs) > 1
    for part in figure.subfigs:
        legend, title = part.axes[0].get_legend(), part._suptitle
        assert not legend.get_window_extent().overlaps(title.get_window_extent())
    pyplot.close(figure)


def test_what_a_machine_loses_most_to_has_its_own_colour(tiny: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    found = esnsim.simulate("builtin:resnet8", machines="all", memory="bitsim")
    axes = figures.Figure().subplots()
    page_of(found).pictures[0].draw(axes)
    named = {text.get_text() for text in axes.get_legend().get_texts()}
    lost = {word: lost_to(found.lost(t)) for t in found.taken if t.one_bit for word in [t.name]}
    assert {told.rsplit(" ", 1)[0] for told in lost.values() if told} <= named | {"–"}


@pytest.mark.parametrize("absent", ["jinja2", "matplotlib"])
def test_a_page_without_what_makes_it_is_refused_before_any_work(
    absent: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "esnsim.commands.output.find_spec", lambda name: None if name == absent else object()
    )
    refused(
        command("cost", tiny, "--html", "a.html"),
        "--html: needs matplotlib and Jinja2: pip install 'esnsim[report]'", code=2,
    )  # fmt: skip
