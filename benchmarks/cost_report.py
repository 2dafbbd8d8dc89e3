"""The results of the cost benchmark as text."""

from collections.abc import Sequence
from typing import Any

from benchmarks.tools import OURS

MB = 1e6


def render(results: dict[str, Any]) -> str:
    """Machine, a table for each model, the passes, cold starts, and the goals."""
    parts = [_machine(results), *(_model(model) for model in results["models"].values())]
    if results["passes"]:
        parts.append(_passes(results["passes"]))
    parts += [_cold(results["cold"]), "\n".join(_goals(results))]
    return "\n\n".join(parts)


def _machine(results: dict[str, Any]) -> str:
    facts, versions = results["machine"], results["versions"]
    cache, memory = facts["last_level_cache"] or 0, facts["memory"] or 0
    return "\n".join(
        (
            f"{facts['processor']}, {facts['cores']} cores, {' '.join(facts['flags'])}",
            f"{facts['system']}, {cache / MB:.0f} MB of last-level cache, {memory / 1e9:.0f} GB, "
            f"load {results['load'][0]} before and {results['load'][1]} after",
            ", ".join(f"{name} {number or 'absent'}" for name, number in versions.items()),
        )
    )


def _model(model: dict[str, Any]) -> str:
    ours = model["tools"][OURS]
    head = (
        "", "command, s", f"÷ {OURS}", "CPU, s", "call, s", f"÷ {OURS}", "peak MB",
        "anonymous MB", "MACs",
    )  # fmt: skip
    rows: list[Sequence[str]] = [head]
    remarks = []
    for name, tool in model["tools"].items():
        if "failed" in tool:
            remarks.append(f"{name} fails: {tool['failed']}")
            rows.append((name, "fails", "", "", "", "", *_memory(tool), ""))
            continue
        command, call = tool["command"], tool.get("call")
        cells = (
            _seconds(command), _ratio(command, ours["command"]), f"{tool['cpu']['median']:.2f}",
            _seconds(call), _ratio(call, ours.get("call")),
        )  # fmt: skip
        rows.append((name, *cells, *_memory(tool), f"{tool['answer']['total']:,}"))
        if "agrees" in tool:
            remarks.append(_agreement(name, tool, ours["answer"]))
    title = (
        f"{model['title']}: {model['bytes'] / MB:,.0f} MB, "
        f"median (least–most) of {model['rounds']} rounds"
    )
    return "\n".join((title, *_columns(rows), *remarks))


def _passes(passes: dict[str, Any]) -> str:
    head = ("passes, GB/s", "plain read", "fused pass", "÷ read", "largest weight", "÷ read")
    rows: list[Sequence[str]] = [head]
    for name, rates in passes.items():
        cells = [_rate(rates["read"])]
        for key in ("fused", "largest"):
            cells += [_rate(rates[key]), f"{rates[key]['median'] / rates['read']['median']:.2f}"]
        rows.append((name, *cells))
    return "\n".join(_columns(rows))


def _cold(cold: dict[str, Any]) -> str:
    rows = [("esnsim cost, s", "Numba's cache filled", "empty")]
    for command, form in cold.items():
        rows.append((command, _seconds(form.get("warm")), _seconds(form.get("cold"))))
    return "\n".join(_columns(rows))


def _goals(results: dict[str, Any]) -> list[str]:
    """What was aimed at, what was measured, and whether that is met."""
    lines = ["goals"]
    for model in results["models"].values():
        lines.append(f"  {model['title']}")
        tools = model["tools"]
        own, room = tools[OURS], 200 * MB + 1.5 * model["held"]
        if "command" in tools["onnx-tool"]:
            ratio = _times(own, tools["onnx-tool"])
            lines.append(_goal(ratio <= 1.5, f"at most 1.5 × the time of onnx-tool: {ratio:.2f} ×"))
        if "command" in tools["qonnx"]:
            ratio = _times(tools["qonnx"], own)
            lines.append(_goal(ratio >= 10, f"10 × faster than qonnx: {ratio:.1f} ×"))
        peak = f"{own['peak_rss'] / MB:.0f} MB"
        lines.append(_goal(own["peak_rss"] <= room, f"peak within {room / MB:.0f} MB: {peak}"))
    lines.append("  Passes")
    for name, rates in results["passes"].items():
        if name.endswith("numba"):
            share = rates["fused"]["median"] / rates["read"]["median"]
            text = f"fused pass at ¼ of the read bandwidth, {name}: {share:.2f}"
            lines.append(_goal(share >= 0.25, text))
    return lines


def _goal(met: bool, text: str) -> str:
    return f"    {'met   ' if met else 'missed'}  {text}"


def _times(tool: dict[str, Any], base: dict[str, Any]) -> float:
    return float(tool["command"]["median"] / base["command"]["median"])


def _seconds(spread: dict[str, float] | None) -> str:
    if spread is None:
        return ""
    return f"{spread['median']:.2f} ({spread['least']:.2f}–{spread['most']:.2f})"


def _ratio(spread: dict[str, float] | None, base: dict[str, float] | None) -> str:
    return f"{spread['median'] / base['median']:.2f}" if spread and base else ""


def _rate(spread: dict[str, float]) -> str:
    low, high = spread["least"] / 1e9, spread["most"] / 1e9
    return f"{spread['median'] / 1e9:.1f} ({low:.1f}–{high:.1f})"


def _memory(tool: dict[str, Any]) -> list[str]:
    return [
        f"{tool[key] / MB:,.0f}" if tool.get(key) else "" for key in ("peak_rss", "peak_anonymous")
    ]


def _agreement(name: str, tool: dict[str, Any], ours: dict[str, int]) -> str:
    """Whether a peer counts what we count, and what makes its total another."""
    text = f"{name} {'agrees' if tool['agrees'] else 'DISAGREES'} with {OURS}"
    if tool["answer"]["total"] == ours["total"]:
        return text
    counts = tool["answer"].get("besides", {})
    largest = sorted(counts.items(), key=lambda item: -item[1])
    besides = f" ({', '.join(f'{kind} {count:,}' for kind, count in largest)})" if counts else ""
    return f"{text}: it {tool['differs']}{besides}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
