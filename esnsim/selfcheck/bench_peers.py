"""What `esnsim bench` compares with, in a process of its own: torch or ONNX Runtime.

`python -m esnsim.selfcheck.bench_peers NAME JSON` prints seconds as JSON. The product is checked
against NumPy's exact one before it is timed.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np


def main() -> int:
    """Measure the peer of the command line."""
    name, task = sys.argv[1], json.loads(sys.argv[2])
    rng = np.random.default_rng(task["seed"])
    weights = rng.integers(-127, 128, (task["filters"], task["reduction"])).astype(np.int8)
    x = rng.integers(0, 256, (task["windows"], task["reduction"])).astype(np.uint8)
    exact = x.astype(np.int64) @ weights.astype(np.int64).T
    make = {"torch": _torch, "onnxruntime": _onnxruntime}[name]
    try:
        work, what = make(weights, x, task["threads"])
    except ImportError:
        print(f"{name} is not installed", file=sys.stderr)
        return 1
    if not np.allclose(work(), exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max()):
        print(f"{name} gives another product", file=sys.stderr)
        return 1
    times = []
    for _ in range(task["repeats"]):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": median(times), "what": what}))
    return 0


def _torch(
    weights: np.ndarray[Any, Any], x: np.ndarray[Any, Any], threads: int
) -> tuple[Callable[[], Any], str]:
    import torch

    torch.set_num_threads(threads)
    a, b = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(weights.astype(np.float32))
    return lambda: (a @ b.T).numpy(), f"torch {torch.__version__}, float32 product"


def _onnxruntime(
    weights: np.ndarray[Any, Any], x: np.ndarray[Any, Any], threads: int
) -> tuple[Callable[[], Any], str]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    windows, reduction = x.shape
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node], "bench",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, reduction, windows, 1])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [numpy_helper.from_array(weights[:, :, None, None], "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": np.ascontiguousarray(x.T)[None, :, :, None]}
    what = f"ONNX Runtime {version('onnxruntime')}, int8 convolution"
    return lambda: session.run(None, feed)[0][0, :, :, 0].T, what


if __name__ == "__main__":
    raise SystemExit(main())
