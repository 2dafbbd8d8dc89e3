"""ONNX networks in a line a layer, built without a framework.

Every weight is a ConstantOfShape node, as in the models of the onnx wheel: VGG-19 is a file of a
few kilobytes, and nothing is allocated.
"""

from onnx import ModelProto, NodeProto, TensorProto, helper

Sizes = int | tuple[int, int]


class Net:
    """A graph under construction. Methods take and give names of values, the input's `x` first."""

    def __init__(self, *size: int) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *size])
        self.channels = {"x": size[0]}

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """Append a node; the name of its first output. Channels are those of its first input."""
        name = f"{op}_{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, **attributes))
        self.channels.update(dict.fromkeys(names, self.channels.get(inputs[0], 0)))
        return name

    def ints(self, *values: int) -> str:
        """A constant vector of integers."""
        name = f"ints_{len(self.initializers)}"
        tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        self.initializers.append(tensor)
        return name

    def filled(self, *shape: int) -> str:
        """A constant tensor of this shape."""
        return self.node("ConstantOfShape", self.ints(*shape))

    def conv(
        self, x: str, filters: int, kernel: Sizes = 1, stride: int = 1, pad: Sizes | None = None,
        groups: int = 1, bias: bool = True,
    ) -> str:  # fmt: skip
        """A convolution that keeps the size at stride 1 unless `pad` says otherwise."""
        k = _pair(kernel)
        p = (k[0] // 2, k[1] // 2) if pad is None else _pair(pad)
        weight = self.filled(filters, self.channels[x] // groups, *k)
        more = [self.filled(filters)] if bias else []
        y = self.node("Conv", x, weight, *more, strides=[stride] * 2, pads=[*p, *p], group=groups)
        self.channels[y] = filters
        return y

    def conv_bn(
        self, x: str, filters: int, kernel: Sizes = 1, stride: int = 1, pad: Sizes | None = None,
        groups: int = 1, act: str | None = "Relu",
    ) -> str:  # fmt: skip
        """Convolution without bias, BatchNormalization, and an activation unless None."""
        y = self.bn(self.conv(x, filters, kernel, stride, pad, groups, bias=False))
        return self.node(act, y) if act else y

    def bn(self, x: str) -> str:
        """BatchNormalization."""
        return self.node("BatchNormalization", x, *[self.filled(self.channels[x])] * 4)

    def relu(self, x: str) -> str:
        """Relu."""
        return self.node("Relu", x)

    def pool(
        self, x: str, kernel: int, stride: int, pad: int = 0, op: str = "MaxPool", ceil: int = 0
    ) -> str:
        """Pooling over square windows."""
        square = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self.node(op, x, **square, ceil_mode=ceil)

    def mean(self, x: str) -> str:
        """Global average pooling."""
        return self.node("GlobalAveragePool", x)

    def concat(self, *xs: str) -> str:
        """Concatenation of channels."""
        y = self.node("Concat", *xs, axis=1)
        self.channels[y] = sum(self.channels[x] for x in xs)
        return y

    def split(self, x: str) -> tuple[str, str]:
        """The two halves of the channels."""
        half = self.channels[x] // 2
        y = self.node("Split", x, self.ints(half, half), outputs=2, axis=1)
        self.channels[y] = self.channels[f"{y}_1"] = half
        return y, f"{y}_1"

    def shuffle(self, x: str, groups: int, height: int, width: int) -> str:
        """Channel shuffle: Reshape, Transpose, Reshape."""
        channels = self.channels[x]
        grid = self.ints(1, groups, channels // groups, height, width)
        y = self.node("Transpose", self.node("Reshape", x, grid), perm=[0, 2, 1, 3, 4])
        return self.node("Reshape", y, self.ints(1, channels, height, width))

    def linear(self, x: str, features: int, positions: int = 1) -> str:
        """Flatten and Gemm with bias; `positions` is the spatial size that is flattened."""
        weight = self.filled(features, self.channels[x] * positions)
        y = self.node("Gemm", self.node("Flatten", x), weight, self.filled(features), transB=1)
        self.channels[y] = features
        return y

    def matmul(self, x: str, features: int) -> str:
        """A linear layer on the last axis, with bias."""
        y = self.node("MatMul", x, self.filled(self.channels[x], features))
        y = self.node("Add", y, self.filled(features))
        self.channels[y] = features
        return y

    def model(self, y: str) -> ModelProto:
        """The model that gives `y`; shapes are left to inference."""
        output = helper.make_tensor_value_info(y, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [output], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)


def _pair(value: Sizes) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
