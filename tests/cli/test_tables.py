"""An entry in one table is offered by the command line and its help, with no other change.

Each test adds an entry; together they follow each row of "Where do I add …" (docs/architecture.md).
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.export.formats import FORMATS
from esnsim.compression.policies import POLICIES
from esnsim.compression.prune.criteria import CRITERIA, SCOPES
from esnsim.costs.bops import DEFINITIONS, Definition
from esnsim.costs.equations import WIDTH_RULES, Width
from esnsim.costs.metric import METRICS, Metric
from esnsim.errors import UsageError
from esnsim.importer.operators import CONTRIB
from esnsim.importer.products import weight_right
from esnsim.machines.array import spec as array
from esnsim.machines.array.schedule import SCHEDULES
from esnsim.machines.crossbar.converters import ADC_LAWS
from esnsim.machines.named.catalog import machines as named
from esnsim.machines.presets import KINDS
from esnsim.page.page import Column, Page, Table
from esnsim.page.pages import PAGES
from esnsim.quantization.rules import RULES, StepRule, filter_max
from esnsim.report.cost import document as cost_document
from esnsim.report.forms import Form
from esnsim.report.kinds import KINDS as KINDS_OF_RESULTS
from esnsim.report.kinds import Report
from esnsim.report.simulation import document as simulation_document
from esnsim.report.sweep import document as sweep_document
from esnsim.results import Outcome
from tests.commandline import esnsim, report
from tests.importer.models import model
from tests.samples import saved, weights

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
Add = pytest.MonkeyPatch


def test_every_row_of_the_page_has_a_test() -> None:
    section = PAGE.read_text("utf-8").split("## Where do I add …")[1].split("##")[0]
    rows = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)[1:]
    assert rows == list(FOLLOWED)


def offered(command: str, *parts: str) -> None:
    """The help of a command has these parts."""
    text = " ".join(esnsim(command, "--help").out.split())
    for part in parts:
        assert part in text


def step_rule(tiny: Path, add: Add) -> None:
    double = StepRule(lambda weight, bits, _: 2 * filter_max(weight, bits), by_filter=True)
    add.setitem(RULES, "double-max", double)
    for command in ("cost", "compress", "simulate", "pareto"):
        offered(command, "double-max")
    steps = [
        report(esnsim("cost", tiny, "--step", rule, "--json"))["layers"][0]["steps"]
        for rule in ("filter-max", "double-max")
    ]
    assert steps[1] == [2 * step for step in steps[0]]
    assert "double-max" in esnsim("cost", tiny, "--step", "no-rule").err


def width_rule(tiny: Path, add: Add) -> None:
    code = WIDTH_RULES["code"]
    twice = Width(lambda sums: 2 * code.bits(sums), lambda sums: 2 * code.widths(sums), "code")
    add.setitem(WIDTH_RULES, "twice", twice)
    offered("cost", "twice")
    totals = [
        report(esnsim("cost", tiny, "--width", rule, "--json"))["totals"]
        for rule in ("code", "twice")
    ]
    assert totals[1]["esn_d"]["macs"] == 2 * totals[0]["esn_d"]["macs"]


def bops(tiny: Path, add: Add) -> None:
    own = Definition(help="MACs", source="here", layers="all", count=lambda row, _: row.layer.macs)
    add.setitem(DEFINITIONS, "plain", own)
    offered("cost", "plain: MACs")
    found = report(esnsim("cost", tiny, "--activation-bits", 8, "--bops", "plain", "--json"))
    assert found["bops"][2]["total"] == found["totals"]["macs"]


def metric(tiny: Path, add: Add) -> None:
    bits = METRICS["esn_d"].filters
    add.setitem(METRICS, "pruned", Metric(title="pruned", field="pruned_filters", filters=bits))
    for command in ("cost", "compress", "pareto"):
        offered(command, "pruned")
    over = esnsim("cost", tiny, "--bits", 2, "--fail-above", "pruned=0")
    assert (over.code, over.err) == (3, "esnsim: pruned is 1: above 0 by all of it\n")
    for command in (("compress", tiny, "-o", "s.onnx", "--budget", 5), ("pareto", tiny)):
        assert "pruned" in esnsim(*command, "--metric", "watts").err


def schedule(tiny: Path, add: Add) -> None:
    add.setitem(SCHEDULES, "again", SCHEDULES["serial"])
    offered("simulate", "again")
    words = ("simulate", tiny, "--json", "--schedule")
    again, serial = (report(esnsim(*words, name)) for name in ("again", "serial"))
    assert again["machine"].pop("schedule") == "again"
    assert again["totals"] == serial["totals"]
    assert "again " in esnsim("simulate", tiny, "--compare", "schedules").out
    assert "again" in esnsim("simulate", tiny, "--schedule", "no").err


def converter_law(tiny: Path, add: Add) -> None:
    add.setitem(ADC_LAWS, "free", lambda bits, e_adc, vdd: 0.0)
    offered("simulate", "free")
    words = ["--engine", "analog", "--adc-bits", "8", "--e-cell", "1pJ", "--json", "--adc-law"]
    assert report(esnsim("simulate", tiny, *words, "free"))["totals"]["energy"]["adc"] == 0
    assert "free" in esnsim("simulate", tiny, *words, "no").err


def machine(tiny: Path, add: Add) -> None:
    add.setitem(array.PRESETS, "small", array.ArraySpec(2, 2))
    offered("simulate", "small")
    found = report(esnsim("simulate", tiny, "--array", "small", "--json"))["machine"]
    assert (found["rows"], found["lanes"]) == (2, 2)
    assert "small" in esnsim("simulate", tiny, "--array", "no").err


def machine_by_name(tiny: Path, add: Add) -> None:
    add.setitem(named(), "mine", named()["loom"])
    assert "mine" in esnsim("machines").out
    [found] = report(esnsim("simulate", tiny, "--machines", "mine", "--json"))["machines"]
    assert found["name"] == "mine"
    assert "mine" in esnsim("simulate", tiny, "--machines", "min").err


@dataclass(frozen=True, slots=True)
class Ternary(array.ArraySpec):
    """A machine of another kind."""

    kind: ClassVar[str] = "ternary"


def kind_of_machine(tiny: Path, add: Add) -> None:
    digital = KINDS["digital"]
    presets = {"tri": Ternary(4, 4)}
    add.setitem(
        KINDS, "ternary", replace(digital, describe=Ternary, presets=presets, default="tri")
    )
    offered("simulate", "tri", "--engine {digital,analog,ternary,both}")
    for words in (["--engine", "ternary"], ["--array", "tri"]):
        found = report(esnsim("simulate", tiny, *words, "--json"))["machine"]
        assert (found["kind"], found["rows"]) == ("ternary", 4)
    compared = esnsim("simulate", tiny, "--compare", "digital", "ternary").out
    assert "ternary ÷ digital" in compared
    assert "digital ternary" in esnsim("simulate", tiny, "--compare", "ternary", "-q").err
    Path("mine.toml").write_text("[ternary]\nrows = 3\n")
    named = report(esnsim("simulate", tiny, "--array", "mine.toml", "--json"))
    assert (named["machine"]["kind"], named["machine"]["rows"]) == ("ternary", 3)


def report_form(tiny: Path, add: Add) -> None:
    names = Form("the names of layers", lambda cost, rows: f"{[r.layer.name for r in rows]}\n")
    add.setitem(cost_document.FORMS, "names", names)
    kinds = Form("the kinds", lambda simulations: f"{[s.machine.kind for s in simulations]}")
    add.setitem(simulation_document.FORMS, "kinds", kinds)
    offered("cost", "--names the names of layers", ".names")
    offered("simulate", "--kinds the kinds")
    add.setitem(sweep_document.FORMS, "count", Form("how many", lambda sweep: "4"))
    offered("pareto", "--count how many")
    assert esnsim("cost", tiny, "--names", "-q").out == "['first', 'y']\n"
    assert esnsim("simulate", tiny, "--kinds", "-q").out == "['digital']"
    assert esnsim("cost", tiny, "-o", "here.names", "-q").code == 0
    assert Path("here.names").read_text() == "['first', 'y']\n"
    refused = esnsim("cost", tiny, "--json", "-o", "here.names").err
    assert "--json and 'here.names': leave one" in refused
    assert "NAMES holds every layer" in esnsim("cost", tiny, "--names", "--top", 1).err


def _described(table: dict[str, Any], option: str, *commands: str) -> Callable[[Path, Add], None]:
    def followed(tiny: Path, add: Add) -> None:
        add.setitem(table, "flip", next(iter(table.values())))
        for command in commands:
            offered(command, "flip: ")
            words = [tiny, *(["-o", "/nowhere/small.onnx"] if command == "compress" else [])]
            assert "flip" not in esnsim(command, *words, option, "flip").err
            refused = esnsim(command, *words, option, "flop")
            assert refused.code == 2
            assert "flip" in refused.err

    return followed


def operator(tiny: Path, add: Add) -> None:
    nodes = "y = com.microsoft.Twice(x, w)"
    path = saved(model(nodes, "float[1,3] x", w=weights(4, 3)), tiny.parent)
    assert "Twice 'y' is not counted" in esnsim("cost", path).err

    def read(node: Any, inputs: Any, name: str) -> Any:
        return [weight_right(inputs[0], inputs[1].constant, name, transposed=True)]

    add.setitem(CONTRIB, "Twice", read)
    [layer] = report(esnsim("cost", path, "--json"))["layers"]
    assert (layer["op"], layer["macs"]) == ("Twice", 12)


@dataclass(frozen=True, slots=True, repr=False)
class Tally(Outcome):
    """A result of another kind."""

    layers: int


def kind_of_result(tiny: Path, add: Add) -> None:
    add.setitem(KINDS_OF_RESULTS, "Tally", lambda: Report(
        text=lambda found: f"{found.layers} layers", document=lambda found: {"schema": "tally/1"},
        rows=lambda found: [{"layers": found.layers}], inputs=lambda found: [Path("given.json")],
    ))  # fmt: skip
    add.setitem(PAGES, "Tally", "tally")
    table = Table("Counts", [Column("layers", lambda row: row, str)], [2])
    page = Page(title="A tally", lead="Two.", facts=[], pictures=[], tables=[table])
    add.setitem(sys.modules, "esnsim.page.tally", SimpleNamespace(page=lambda found: page))
    Path("given.json").write_text("{}")
    found = Tally(2)
    assert (repr(found), found.to_csv()) == ("2 layers", "layers\n2\n")
    assert "A tally" in found._repr_html_()
    found.save("t.json")
    assert Path("t.json").read_text() == '{\n "schema": "tally/1"\n}\n'
    pytest.importorskip("jinja2")
    found.save("t.html")
    assert "<title>A tally</title>" in Path("t.html").read_text("utf-8")
    with pytest.raises(UsageError, match="would overwrite"):
        found.save("given.json")


FOLLOWED = {
    "a step rule": step_rule,
    "a width rule": width_rule,
    "a metric": metric,
    "a definition of BOPs": bops,
    "a schedule of the array": schedule,
    "a law of converters' energy": converter_law,
    "a machine of a kind that is there": machine,
    "a machine by name": machine_by_name,
    "a kind of machine": kind_of_machine,
    "a policy": _described(POLICIES, "--policy", "compress", "pareto"),
    "an effort of measuring": _described(EFFORTS, "--effort", "compress"),
    "a criterion of pruning": _described(CRITERIA, "--criterion", "compress", "pareto"),
    "a scope of pruning": _described(SCOPES, "--scope", "compress", "pareto"),
    "a format of files": _described(FORMATS, "--format", "compress"),
    "a form of a report": report_form,
    "a kind of result": kind_of_result,
    "an operator that multiplies": operator,
}


@pytest.mark.parametrize("row", FOLLOWED)
def test_a_new_entry_is_offered(
    row: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FOLLOWED[row](tiny, monkeypatch)


@pytest.mark.parametrize("page", ["compress.md", "pruning.md", "pareto.md"])
def test_the_pages_name_every_entry(page: str) -> None:
    text = (PAGE.parent / page).read_text("utf-8")
    tables = {
        "compress.md": (POLICIES, FORMATS, CRITERIA, SCOPES),
        "pruning.md": (CRITERIA, SCOPES),
    }
    for table in tables.get(page, (POLICIES,)):
        assert all(name in text for name in table)
