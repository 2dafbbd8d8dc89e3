"""The benchmarks' models, made on the spot: `python -m benchmarks.models NAME FOLDER`.

resnet50 is the ResNet-50 that ships in the onnx wheel without its weights (it has
ConstantOfShape nodes in their place), given random ones; qonnx is the same with 4-bit weights as
QONNX writes them; large is a chain of matrix products with 2 GiB of external data.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"
QONNX = "qonnx.custom_op.general"
BITS, STEP = 4, 0.01
SIDE, LAYERS = 4096, 32  # SIDE² · LAYERS · 4 bytes = 2 GiB
REPEATED = 1 << 22  # random values that the 2 GiB consist of, again and again


def resnet50() -> ModelProto:
    """ResNet-50 with weights of N(0, 0.02²) as initialisers, 102 MB."""
    model = onnx.load(LIGHT)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    rng = np.random.default_rng(0)
    nodes = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            nodes.append(node)
            continue
        shape = numpy_helper.to_array(tensors.pop(node.input[0]))
        values = np.ones(shape, np.float32)  # biases, BatchNormalization
        if len(shape) > 1:
            values = rng.standard_normal(shape, np.float32) * np.float32(0.02)
        tensors[node.output[0]] = numpy_helper.from_array(values, node.output[0])
    # Before IR version 4 initialisers are inputs of the graph too, and stay of unknown value.
    inputs = [value for value in graph.input if value.name == "gpu_0/data_0"]
    model.ir_version = 8
    for field, kept in (("node", nodes), ("initializer", tensors.values()), ("input", inputs)):
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    return model


def qonnx() -> ModelProto:
    """`resnet50` with a Quant node of 4 bits behind every weight."""
    model = resnet50()
    graph = model.graph
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight = node.input[1]
            node.input[1] = f"{weight}_quantised"
            nodes.append(
                helper.make_node(
                    "Quant", [weight, "step", "zero", "bits"], [node.input[1]], domain=QONNX,
                    signed=1, narrow=1, rounding_mode="ROUND",
                )
            )  # fmt: skip
        nodes.append(node)
    graph.ClearField("node")
    graph.node.extend(nodes)
    for name, value in (("step", STEP), ("zero", 0), ("bits", BITS)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    model.opset_import.append(helper.make_opsetid(QONNX, 1))
    return model


def stored(index: int, side: int, location: str) -> TensorProto:
    """The weight w`index`, `side`² float32, in a file of weights one after the other."""
    weight = TensorProto(
        name=f"w{index}", dims=(side, side), data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
    )  # fmt: skip
    size = 4 * side**2
    place = {"location": location, "offset": str(index * size), "length": str(size)}
    for key, value in place.items():
        weight.external_data.add(key=key, value=value)
    return weight


def large(data: Path) -> ModelProto:
    """MatMul and Gemm in turn, their weights in the file `data`, which is written."""
    size = 4 * SIDE * SIDE
    values = np.random.default_rng(0).standard_normal(REPEATED, np.float32).tobytes()
    with data.open("wb") as file:
        for _ in range(LAYERS * size // len(values)):
            file.write(values)
    weights, nodes = [], []
    for index in range(LAYERS):
        weight = stored(index, SIDE, data.name)
        weights.append(weight)
        ends = [f"x{index}", weight.name], [f"x{index + 1}"]
        gemm = index % 2  # filters are the rows of its weight, and the columns of MatMul's
        node = (
            helper.make_node("Gemm", *ends, transB=1) if gemm else helper.make_node("MatMul", *ends)
        )
        nodes.append(node)
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, SIDE))
        for name in ("x0", f"x{LAYERS}")
    )
    graph = helper.make_graph(nodes, "large", [first], [last], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    builders: dict[str, Callable[[], ModelProto]] = {
        "resnet50": resnet50, "qonnx": qonnx, "large": lambda: large(folder / "large.bin"),
    }  # fmt: skip
    onnx.save(builders[name](), folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
