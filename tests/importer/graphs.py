"""Random small graphs of convolutions with pruned filters and of operators between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass
class Graph:
    """A graph under construction: values are names with known shapes (N, C, H, W)."""

    rng: np.random.Generator
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=lambda: {"x": (1, 3, 4, 6)})

    def constant(self, array: Array) -> str:
        name = f"k{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, op: str, *inputs: str, shape: Shape, outputs: int = 1, **more: Any) -> str:
        """Append a node; its first output has this shape."""
        name = f"{op}_{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, **more))
        self.shapes.update(dict.fromkeys(names, shape))
        return name

    def floats(self, *shape: int) -> Array:
        """Between ½ and 1½ in size, of either sign: no product of a few of them vanishes."""
        return (self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1, 1], shape)).astype("f")

    def conv(self, x: str, filters: int, kernel: int = 1, groups: int = 1) -> str:
        """A convolution that keeps the size; about a third of its filters are pruned."""
        n, c, h, w = self.shapes[x]
        weights = self.floats(filters, c // groups, kernel, kernel) / np.sqrt(c * kernel / groups)
        weights[self.rng.random(filters) < 0.35] = 0
        return self.add(
            "Conv", x, self.constant(weights.astype("f")), self.constant(self.floats(filters)),
            shape=(n, filters, h, w), group=groups, pads=[kernel // 2] * 4,
        )  # fmt: skip

    def model(self, extra: list[str]) -> ModelProto:
        """The model; the values of `extra` are outputs too."""
        info = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shapes["x"])
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in extra]
        graph = helper.make_graph(self.nodes, "net", [info], outputs, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


Step = Callable[[Graph, str], str]


def build(steps: list[Step], seed: int) -> tuple[ModelProto, dict[str, str]]:
    """A model of these steps, read at its end by a convolution, a Gemm and a MatMul.

    Also the value that each layer reads, all of them outputs of the model.
    """
    g = Graph(np.random.default_rng(seed))
    x = g.conv("x", 4, 3)
    for step in steps:
        x = step(g, x)
    n, c, h, w = g.shapes[x]
    g.conv(x, 2)
    rows = g.add("Flatten", x, shape=(n, c * h * w))
    g.add("Gemm", rows, g.constant(g.floats(2, c * h * w)), shape=(n, 2), transB=1)
    last = g.add("Transpose", x, shape=(), perm=[0, 2, 3, 1])
    g.add("MatMul", last, g.constant(g.floats(c, 2)), shape=())
    reads = {
        node.name: node.input[0]
        for node in g.nodes
        if node.op_type in ("Conv", "ConvTranspose", "Gemm")
        or (node.op_type == "MatMul" and node.input[1].startswith("k"))
    }
    outputs = sorted(set(reads.values()) - {"x"}) + [node.output[0] for node in g.nodes[-1:]]
    return g.model(outputs), reads


def programs(steps: list[Step]) -> st.SearchStrategy[tuple[list[Step], int]]:
    """Up to 6 steps and a seed for their weights and choices."""
    return st.tuples(
        st.lists(st.sampled_from(steps), min_size=1, max_size=6), st.integers(0, 2**32 - 1)
    )
