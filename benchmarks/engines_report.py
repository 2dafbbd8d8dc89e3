"""The results of the engines benchmark as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GOAL_RATIO, GOAL_SHARE, GOAL_MEMORY = 8, 0.5, 1e9


def render(results: Mapping[str, Any]) -> str:
    """Machine, goals, the table of layers, and the crossbar's."""
    parts = [_machine(results), _goals(results), _layers(results["digital"])]
    if results["analog"]:
        parts.append(_analog(results["analog"]))
    return "\n\n".join(parts)


def _machine(results: Mapping[str, Any]) -> str:
    facts, versions = results["machine"], results["versions"]
    return (
        f"{facts['processor']}, {facts['cores']} cores, {' '.join(facts['flags'])}; "
        f"{results['threads']} threads; load {results['load'][0]} before, {results['load'][1]} "
        f"after; {', '.join(f'{name} {number}' for name, number in versions.items())}"
    )


def _goals(results: Mapping[str, Any]) -> str:
    digital = results["digital"]
    ours, runtime = total(digital["layers"]), digital["ONNX Runtime"]["median"]
    network = digital["network"]["median"]
    work = sum(layer["count"] * layer["one_bit_macs"] for layer in digital["layers"])
    share = work / ours / digital["roofline"]["median"]
    peak = results["command"]["peak_rss"]
    rows = [
        ("all layers, packing and counting included", f"{1e3 * ours:.0f} ms", ""),
        ("ONNX Runtime, float32, the whole network", f"{1e3 * runtime:.0f} ms", ""),
        ("layers ÷ ONNX Runtime", f"{ours / runtime:.1f}", _met(ours / runtime <= GOAL_RATIO, "8")),
        ("network end to end on the array", f"{1e3 * network:.0f} ms", ""),
        (
            "end to end ÷ ONNX Runtime",
            f"{network / runtime:.1f}",
            _met(network / runtime <= GOAL_RATIO, "8"),
        ),
        ("one-bit MACs", f"{work / 1e9:.0f} G", ""),
        ("popcount roofline", f"{digital['roofline']['median'] / 1e12:.2f} T/s", ""),
        ("share of the roofline", f"{share:.0%}", _met(share >= GOAL_SHARE, "50 %")),
        ("`esnsim simulate --end-to-end`", f"{results['command']['seconds']:.1f} s", ""),
        ("its peak memory", f"{peak / 1e6:.0f} MB", _met(peak < GOAL_MEMORY, "1 GB")),
    ]
    return table(("", "", "goal"), rows)


def _met(reached: bool, goal: str) -> str:
    return f"{goal}: {'met' if reached else 'missed'}"


def total(rows: Iterable[Mapping[str, Any]], name: str = "seconds") -> float:
    """Σ of the medians over all layers of the network."""
    return sum(int(row["count"]) * float(row[name]["median"]) for row in rows)


def _layers(digital: Mapping[str, Any]) -> str:
    peak = digital["roofline"]["median"]
    rows = []
    for layer in digital["layers"]:
        seconds = layer["seconds"]
        rate = layer["one_bit_macs"] / seconds["median"]
        rows.append(
            (
                layer["title"], f"{layer['count']}", f"{layer['words']}",
                f"{1e3 * seconds['median']:.2f} ({1e3 * seconds['least']:.2f})",
                f"{rate / 1e12:.2f} T", f"{rate / peak:.0%}",
            )
        )  # fmt: skip
    head = (
        "layer", "of them", "words a window", "ms (least)", "one-bit MACs/s", "of the roofline",
    )  # fmt: skip
    return table(head, rows)


def _analog(analog: Mapping[str, Any]) -> str:
    kinds = {"whole": "whole weights and inputs", "sliced": "2-bit cells, 1-bit drivers"}
    rows = []
    for name, title in kinds.items():
        layers = analog[name]
        ours, theirs = total(layers, "ours"), total(layers, "numpy")
        rows.append(
            (
                f"all layers, {title}", f"{ours:.2f} s", f"{theirs:.2f} s", f"{theirs / ours:.2f}",
                "", "",
            )
        )  # fmt: skip
    for layer in analog["whole"]:
        if "crosssim" in layer:
            ours = layer["ours"]["median"]
            others = [layer[name]["median"] for name in ("numpy", "crosssim")]
            cells = [f"{1e3 * other:.1f} ms" for other in others]
            rows.append(
                (
                    layer["title"], f"{1e3 * ours:.1f} ms", cells[0], f"{others[0] / ours:.2f}",
                    cells[1], f"{others[1] / ours:.1f}",
                )
            )  # fmt: skip
    return table(("", "esnsim", "NumPy", "NumPy ÷ esnsim", "CrossSim", "÷ esnsim"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
