"""The results of the cost benchmark as Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.harness import Document, Spread, circumstances, goal, ratio, table, told
from benchmarks.tools import OURS

MB, GB = 1e6, 1e9


def render(results: Document) -> str:
    """Machine, a table for each model, the passes, cold starts, and the goals."""
    parts = [circumstances(results), *(_model(model) for model in results["models"].values())]
    if results["passes"]:
        parts.append(_passes(results["passes"]))
    parts += [_cold(results["cold"]), _starts(results["starts"])]
    return "\n\n".join((*parts, *_goals(results)))


def _model(model: Document) -> str:
    ours = model["tools"][OURS]
    head = (
        "", "command, s", f"÷ {OURS}", "CPU, s", "call, s", f"÷ {OURS}", "peak MB",
        "anonymous MB", "MACs",
    )  # fmt: skip
    rows: list[Sequence[str]] = []
    remarks = []
    for name, tool in model["tools"].items():
        if "failed" in tool:
            remarks.append(f"{name} fails: {tool['failed']}")
            rows.append((name, "fails", "", "", "", "", *_memory(tool), ""))
            continue
        times = [*_beside(tool, ours, "command"), told(tool["cpu"]), *_beside(tool, ours, "call")]
        rows.append((name, *times, *_memory(tool), f"{tool['answer']['total']:,}"))
        if "agrees" in tool:
            remarks.append(_agreement(name, tool, ours["answer"]))
    title = (
        f"{model['title']}: {model['bytes'] / MB:,.0f} MB, "
        f"median (least–most) of {model['rounds']} rounds"
    )
    return "\n\n".join((title, table(head, rows), *remarks))


def _passes(passes: Document) -> str:
    rows = [
        (
            name, told(rates["read"], GB, 1),
            *(text for key in ("fused", "largest") for text in
              (told(rates[key], GB, 1), f"{ratio(rates[key], rates['read']):.2f}")),
        )
        for name, rates in passes.items()
    ]  # fmt: skip
    head = ("passes, GB/s", "plain read", "fused pass", "÷ read", "largest weight", "÷ read")
    return table(head, rows)


def _cold(cold: Document) -> str:
    rows = [
        (words, *(told(form[key]) if form else "" for key in ("warm", "cold")))
        for words, form in cold.items()
    ]
    return table(("esnsim cost, s", "Numba's cache filled", "empty"), rows)


def _starts(starts: Document) -> str:
    base = next(iter(starts))
    rows = [
        (words, told(taken), f"{ratio(taken, starts[base]):.2f}") for words, taken in starts.items()
    ]
    return table(("whole process, s", "", f"÷ {base}"), rows)


def _goals(results: Document) -> list[str]:
    """What was aimed at, what was measured, and whether that is met."""
    lines = []
    for model in results["models"].values():
        lines.append(model["title"])
        tools = model["tools"]
        own, room = tools[OURS], 200 * MB + 1.5 * model["held"]
        if "command" in tools["onnx-tool"]:
            times = ratio(own["command"], tools["onnx-tool"]["command"])
            lines.append(
                goal(times <= 0.85, f"at most 0.85 × the time of onnx-tool: {times:.2f} ×")
            )
        if "command" in tools["qonnx"]:
            times = ratio(tools["qonnx"]["command"], own["command"])
            lines.append(goal(times >= 7, f"7 × faster than qonnx: {times:.1f} ×"))
        peak = f"{own['peak_rss'] / MB:.0f} MB"
        lines.append(goal(own["peak_rss"] <= room, f"peak within {room / MB:.0f} MB: {peak}"))
    for name, rates in results["passes"].items():
        if name.endswith("numba"):
            share = ratio(rates["fused"], rates["read"])
            least = 0.3 if name.startswith("large") else 0.4  # half of the weights lie transposed
            text = f"fused pass at {least} of the read bandwidth, {name}: {share:.2f}"
            lines.append(goal(share >= least, text))
    return lines


def _beside(tool: Document, ours: Document, form: str) -> tuple[str, str]:
    """A tool's seconds, and how many times ours they are."""
    found: Spread | None = tool.get(form)
    return (told(found), f"{ratio(found, ours[form]):.2f}") if found else ("", "")


def _memory(tool: Document) -> list[str]:
    peaks = (tool.get(key) for key in ("peak_rss", "peak_anonymous"))
    return [f"{peak / MB:,.0f}" if peak else "" for peak in peaks]


def _agreement(name: str, tool: Document, ours: dict[str, int]) -> str:
    """Whether a peer counts what we count, and what makes its total another."""
    text = f"{name} {'agrees' if tool['agrees'] else 'DISAGREES'} with {OURS}"
    if tool["answer"]["total"] == ours["total"]:
        return text
    counts: dict[str, Any] = tool["answer"].get("besides", {})
    largest = sorted(counts.items(), key=lambda item: -item[1])
    besides = f" ({', '.join(f'{kind} {count:,}' for kind, count in largest)})" if counts else ""
    return f"{text}: it {tool['differs']}{besides}"
