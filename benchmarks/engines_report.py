"""The results of the engines benchmark as Markdown."""

from collections.abc import Iterable

from benchmarks.engines_widths import tell
from benchmarks.harness import Document, circumstances, goal, ratio, table

GOAL_LAYERS, GOAL_NETWORK, GOAL_SHARE, GOAL_BARE, GOAL_MEMORY = 2.2, 3.5, 0.85, 0.65, 5e8
KINDS = {"whole": "whole weights and inputs", "sliced": "2-bit cells, 1-bit drivers"}
SIDES = ("ours", "numpy", "crosssim")


def render(results: Document) -> str:
    """Machine, goals, the table of layers, and the crossbar's."""
    machine = f"{circumstances(results)}; {results['threads']} threads"
    machine += "; the array in processor time" if results.get("processor_time") else ""
    parts = [machine, _goals(results), _layers(results["digital"])]
    if results.get("widths"):
        parts.append(tell(results["widths"]))
    if results["analog"]:
        parts.append(_analog(results["analog"]))
    return "\n\n".join(parts)


def _goals(results: Document) -> str:
    digital, command = results["digital"], results["command"]
    ours, network = total(digital["layers"]), digital["network"]["median"]
    runtime, roofline = digital["ONNX Runtime"]["median"], digital["roofline"]["median"]
    work = sum(layer["count"] * layer["one_bit_macs"] for layer in digital["layers"])
    serial, peak = total(digital["layers"], "planes"), command["peak_rss"]
    share, rest = work / serial / roofline, work / serial / digital["bare roofline"]["median"]
    bare = digital["bare roofline"]["median"]
    rows = [
        ("all layers, packing and counting included", f"{1e3 * ours:.0f} ms", ""),
        ("ONNX Runtime, float32, the whole network", f"{1e3 * runtime:.0f} ms", ""),
        ("layers ÷ ONNX Runtime", f"{ours / runtime:.1f}",
         goal(ours / runtime <= GOAL_LAYERS, "2.2")),
        ("network end to end on the array", f"{1e3 * network:.0f} ms", ""),
        ("end to end ÷ ONNX Runtime", f"{network / runtime:.1f}",
         goal(network / runtime <= GOAL_NETWORK, "3.5")),
        ("all layers, bit plane by bit plane", f"{1e3 * serial:.0f} ms", ""),
        ("÷ ONNX Runtime", f"{serial / runtime:.1f}", ""),
        ("one-bit MACs", f"{work / 1e9:.0f} G", ""),
        ("roofline: AND, popcount and add", f"{roofline / 1e12:.2f} T/s", ""),
        ("share of it", f"{share:.0%}", goal(share >= GOAL_SHARE, "85 %")),
        ("roofline: AND and popcount alone", f"{bare / 1e12:.2f} T/s", ""),
        ("share of it", f"{rest:.0%}", goal(rest >= GOAL_BARE, "65 %")),
        ("`esnsim simulate --end-to-end`", f"{command['seconds']:.1f} s", ""),
        ("its peak memory", f"{peak / 1e6:.0f} MB", goal(peak <= GOAL_MEMORY, "500 MB")),
    ]  # fmt: skip
    return table(("", "", "goal"), rows)


def total(rows: Iterable[Document], name: str = "seconds") -> float:
    """Σ of the medians over all layers of the network."""
    return sum(int(row["count"]) * float(row[name]["median"]) for row in rows)


def _layers(digital: Document) -> str:
    peak = digital["roofline"]["median"]
    rows = []
    for layer in digital["layers"]:
        seconds, planes = layer["seconds"], layer["planes"]["median"]
        rate = layer["one_bit_macs"] / planes
        rows.append((
            layer["title"], f"{layer['count']}",
            f"{1e3 * seconds['median']:.2f} ({1e3 * seconds['least']:.2f})",
            f"{layer['macs'] / seconds['median'] / 1e9:.0f} G", f"{1e3 * planes:.2f}",
            f"{rate / 1e12:.2f} T", f"{rate / peak:.0%}",
        ))  # fmt: skip
    head = (
        "layer", "of them", "ms (least)", "MACs/s", "ms by planes", "one-bit MACs/s",
        "of the roofline",
    )  # fmt: skip
    return table(head, rows)


def _analog(analog: Document) -> str:
    rows = []
    for name, title in KINDS.items():
        ours, theirs = (total(analog[name], side) for side in ("ours", "numpy"))
        times = (f"{ours:.2f} s", f"{theirs:.2f} s", f"{ours / theirs:.2f}")
        rows.append((f"all layers, {title}", *times, "", ""))
    for layer in analog["whole"]:
        if "crosssim" in layer:
            ms = {side: f"{1e3 * layer[side]['median']:.1f} ms" for side in SIDES}
            numpy, crosssim = (ratio(layer["ours"], layer[side]) for side in SIDES[1:])
            times = (ms["ours"], ms["numpy"], f"{numpy:.2f}")
            rows.append((layer["title"], *times, ms["crosssim"], f"{crosssim:.2f}"))
    return table(("", "esnsim", "NumPy", "esnsim ÷ NumPy", "CrossSim", "esnsim ÷ it"), rows)
