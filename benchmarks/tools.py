"""The tools that count a model's MACs, ours among them: as a command, and called from Python.

`python -m benchmarks.tools NAME MODEL CALLS` prints as JSON what a tool answers, and the seconds
that so many further calls took: the first one is the warm-up.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import timed

OURS = "esnsim"
WEIGHTED = {"Conv", "Gemm", "MatMul"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its distribution and module, its command line, its Python function.

    `command` are the interpreter's arguments before the model's path. `call` is what is timed,
    from path to totals; `answer` makes of its result the "total" that the tool shows and the
    "macs" in it that should be ours: our `counterpart`.
    """

    name: str
    module: str
    command: tuple[str, ...]
    call: Callable[[str], Any]
    answer: Callable[[Any, str], dict[str, Any]]
    counterpart: str = "macs"
    differs: str = ""


def _esnsim(path: str) -> Any:
    import esnsim

    return esnsim.cost(esnsim.quantize(esnsim.read_onnx(path)))


def _esnsim_answer(cost: Any, path: str) -> dict[str, Any]:
    nonzero = sum(row.metrics.nonzero_weights * row.layer.macs_per_weight for row in cost.layers)
    return {"total": cost.total.macs, "macs": cost.total.macs, "nonzero_macs": nonzero}


def _onnx_tool(path: str) -> Any:
    import onnx_tool

    graph = onnx_tool.loadmodel(path).graph
    graph.graph_reorder_nodes()
    graph.shape_infer(None)
    graph.profile()
    return graph


def _onnx_tool_answer(graph: Any, path: str) -> dict[str, Any]:
    besides: Counter[str] = Counter()
    macs = 0
    for node in graph.nodemap.values():
        bias = 0
        if node.op_type == "Gemm" and len(node.input) == 3:
            bias = graph.tensormap[node.output[0]].get_shape()[-1]
            besides["bias of Gemm"] += bias
        if node.op_type in WEIGHTED:
            macs += round(node.macs[0]) - bias
        else:
            besides[node.op_type] += round(node.macs[0])
    return {"total": round(graph.macs[0]), "macs": macs, "besides": +besides}


def _onnx_opcounter(path: str) -> Any:
    import onnx
    from onnx_opcounter import calculate_macs, calculate_params

    model = onnx.load(path)
    calculate_params(model)
    return calculate_macs(model)


def _onnx_opcounter_answer(total: Any, path: str) -> dict[str, Any]:
    """It shows one number: what its rules add for operators without weights is worked out here."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    sizes: Counter[str] = Counter()
    for value in (*graph.value_info, *graph.output):
        sizes[value.name] = 1
        for dimension in value.type.tensor_type.shape.dim:
            sizes[value.name] *= dimension.dim_value
    besides: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type not in WEIGHTED | {"Reshape"}:
            twice = 2 if node.op_type == "BatchNormalization" else 1
            besides[node.op_type] += twice * sizes[node.output[0]]
    return {"total": int(total), "macs": int(total) - besides.total(), "besides": besides}


def _qonnx(path: str) -> Any:
    from qonnx.util.inference_cost import inference_cost

    return inference_cost(path)


def _qonnx_answer(cost: Any, path: str) -> dict[str, Any]:
    macs = round(cost["total_cost"]["total_macs"])
    return {"total": macs, "macs": macs}


TOOLS = (
    Tool(OURS, "esnsim", ("-m", "esnsim", "cost"), _esnsim, _esnsim_answer),
    Tool(
        "onnx-tool", "onnx_tool", ("-m", "onnx_tool", "-i"), _onnx_tool, _onnx_tool_answer,
        differs="adds operators without weights, and biases of Gemm",
    ),
    Tool(
        "onnx-opcounter", "onnx_opcounter",
        ("-c", "from onnx_opcounter.cli import main; main()", "--calculate-macs"),
        _onnx_opcounter, _onnx_opcounter_answer,
        differs="adds operators without weights, BatchNormalization twice",
    ),
    Tool(
        "qonnx", "qonnx", ("-m", "qonnx.util.inference_cost"), _qonnx, _qonnx_answer,
        "nonzero_macs", "leaves out weights that are exactly 0",
    ),
)  # fmt: skip


def main() -> None:
    name, path, calls = sys.argv[1:]
    tool = next(tool for tool in TOOLS if tool.name == name)
    with redirect_stdout(sys.stderr):
        answer = tool.answer(tool.call(path), path)
        call = timed(lambda: tool.call(path))
        seconds = [call() for _ in range(int(calls))]
    print(json.dumps({"seconds": seconds, "answer": answer}))


if __name__ == "__main__":
    main()
