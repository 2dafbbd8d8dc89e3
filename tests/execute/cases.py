"""Models of every operator that is cut out, of what can lie around it, and of what stays."""

import numpy as np

from tests.execute.models import integers, model, normal, sparse, with_large_constants

U8, I8 = np.uint8, np.int8
F = np.float32


def quantised(**more: object) -> dict[str, object]:
    """Scales and zero points by the names that the models below use."""
    return {
        "sx": F(0.021), "zx": U8(101), "sy": F(0.13), "zy": U8(120), "zi": I8(3),
        "s1": F(0.011), "z0": I8(0),
    } | more  # fmt: skip


LINEAR = {
    "conv": lambda: model(
        "y = Conv<pads=[1,0,2,1], strides=[2,1], dilations=[1,2]>(x, w, b)",
        w=normal(4, 3, 3, 2), b=normal(4),
    ),
    "grouped conv": lambda: model(
        "y = Conv<group=3, auto_pad=\"SAME_LOWER\">(x, w)", w=normal(6, 1, 2, 3)
    ),
    "conv of one axis": lambda: model(
        "y = Conv<pads=[2,1], strides=[3]>(x, w, b)", "float[N,4,11] x",
        w=normal(5, 4, 3), b=normal(5),
    ),
    "conv of three axes": lambda: model(
        "y = Conv<pads=[1,0,1,0,1,2], group=2>(x, w)", "float[N,4,4,5,3] x", w=normal(6, 2, 2, 3, 1)
    ),
    "transposed conv": lambda: model(
        "y = ConvTranspose<strides=[2,3], output_padding=[1,0], pads=[1,0,0,2]>(x, w, b)",
        w=normal(3, 2, 3, 2), b=normal(2),
    ),
    "grouped transposed conv": lambda: model(
        "y = ConvTranspose<group=2, strides=[2]>(x, w)", "float[N,4,5] x", w=normal(4, 3, 2)
    ),
    "gemm": lambda: model("y = Gemm(x, w)", "float[N,7] x", w=normal(7, 5)),
    "gemm with all its attributes": lambda: model(
        "y = Gemm<transA=1, transB=1, alpha=0.7, beta=1.3>(x, w, c)", "float[7,4] x",
        w=normal(5, 7), c=normal(4, 1),
    ),
    "gemm of a constant by an activation": lambda: model(
        "y = Gemm<transA=1, transB=1, alpha=2.5>(w, x, c)", "float[N,7] x",
        w=normal(7, 5), c=normal(1),
    ),
    "matmul": lambda: model("y = MatMul(x, w)", "float[N,3,7] x", w=normal(7, 5)),
    "matmul of a constant by an activation": lambda: model(
        "y = MatMul(w, x)", "float[N,7,3] x", w=normal(5, 7)
    ),
    "batched matmul": lambda: model(
        "y = MatMul(x, w)", "float[N,2,1,3,7] x", w=normal(1, 4, 7, 5)
    ),
    "batched matmul of a constant": lambda: model(
        "y = MatMul(w, x)", "float[2,7,3] x", w=normal(4, 2, 5, 7)
    ),
    "matmul by a vector": lambda: model("y = MatMul(x, w)", "float[N,3,7] x", w=normal(7)),
    "matmul of a vector": lambda: model("y = MatMul(x, w)", "float[7] x", w=normal(2, 7, 5)),
    "matmul of a constant by a vector": lambda: model(
        "y = MatMul(w, x)", "float[7] x", w=normal(5, 7)
    ),
    "matmul of two vectors": lambda: model("y = MatMul(w, x)", "float[7] x", w=normal(7)),
    "einsum": lambda: model(
        'y = Einsum<equation="nhk,khd->hnd">(x, w)', "float[N,2,7] x", w=normal(7, 2, 3)
    ),
    "einsum of a constant": lambda: model(
        'y = Einsum<equation="df, b n d -> b f n">(w, x)', "float[N,3,7] x", w=normal(7, 4)
    ),
    "einsum with hidden axes": lambda: model(
        'y = Einsum<equation="...k,kd->...d">(x, w)', "float[N,3,7] x", w=normal(7, 4)
    ),
    "double": lambda: model(
        "h = Gemm(x, w, b) r = Relu(h) y = MatMul(r, v)", "double[N,7] x",
        w=normal(7, 5, dtype=float), b=normal(5, dtype=float), v=normal(5, 3, dtype=float),
    ),
    "fused matmul": lambda: model(
        "y = com.microsoft.FusedMatMul<transA=1, transB=1, alpha=0.5>(x, w)", "float[2,7,3] x",
        w=normal(2, 5, 7),
    ),
    "packed weights": lambda: model(
        "y = com.microsoft.MatMulNBits<N=6, K=16, bits=4, block_size=16>(x, w, s)",
        "float[N,3,16] x", w=integers(6, 1, 8, dtype=U8, bits=8), s=np.abs(normal(6)),
    ),
}  # fmt: skip
INTEGER = {
    "convinteger": lambda: model(
        "y = ConvInteger<pads=[1,0,0,1]>(x, w, zx, zi)", "uint8[N,3,6,5] x",
        **quantised(w=integers(4, 3, 2, 3)),
    ),
    "matmulinteger": lambda: model(
        "y = MatMulInteger(x, w, zx, zw)", "uint8[N,3,7] x",
        **quantised(w=integers(7, 5), zw=integers(5)),
    ),
    "matmulinteger of a constant": lambda: model(
        "y = MatMulInteger(w, x, zi, zx)", "uint8[7,3] x", **quantised(w=integers(5, 7))
    ),
    "dynamically quantised matmul": lambda: model(
        """q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, z, zi)
           c = Cast<to=1>(i) t = Mul(s, sx) y = Mul(c, t)""",
        "float[N,3,7] x", **quantised(w=integers(7, 5)),
    ),
    "dynamically quantised matmul in one operator": lambda: model(
        """q, s, z = DynamicQuantizeLinear(x)
           y = com.microsoft.MatMulIntegerToFloat(q, w, s, sw, z, zi, b)""",
        "float[N,3,7] x", **quantised(w=integers(7, 5), sw=np.abs(normal(5)), b=normal(5)),
    ),
    "qlinearconv": lambda: model(
        "y = QLinearConv<pads=[1,0,0,1], group=3>(x, sx, zx, w, sw, zw, sy, zy, b)",
        "uint8[N,3,6,5] x",
        **quantised(
            w=integers(6, 1, 2, 3), sw=np.abs(normal(6)) / 9, zw=np.zeros(6, I8),
            b=integers(6, dtype=np.int32, bits=9),
        ),
    ),
    "qlinearconv with channels last": lambda: model(
        "y = com.microsoft.QLinearConv<channels_last=1>(x, sx, zx, w, sw, zw, sy, zy, b)",
        "uint8[N,6,5,3] x",
        **quantised(
            w=integers(6, 3, 2, 3), sw=np.abs(normal(6)) / 9, zw=np.zeros(6, I8),
            b=integers(6, dtype=np.int32, bits=9),
        ),
    ),
    "qlinearmatmul": lambda: model(
        "y = QLinearMatMul(x, sx, zx, w, sw, zw, sy, zy)", "uint8[N,7] x",
        **quantised(w=integers(7, 5), sw=np.abs(normal(5)) / 9, zw=np.zeros(5, I8)),
    ),
    "qlinearmatmul of a constant": lambda: model(
        "y = QLinearMatMul(w, s1, zx, x, sx, zx, sy, zy)", "uint8[2,7,3] x",
        **quantised(w=integers(5, 7, dtype=U8)),
    ),
    "qgemm": lambda: model(
        "y = com.microsoft.QGemm<transB=1, alpha=0.5>(x, sx, zx, w, sw, zw, b, sy, zy)",
        "uint8[N,7] x",
        **quantised(
            w=integers(5, 7), sw=np.abs(normal(5)) / 9, zw=np.zeros(5, I8),
            b=integers(5, dtype=np.int32, bits=9),
        ),
    ),
    "qgemm to float": lambda: model(
        "y = com.microsoft.QGemm(x, sx, zx, w, s1, z0, b)", "uint8[N,7] x",
        **quantised(w=integers(7, 5), b=integers(5, dtype=np.int32, bits=9)),
    ),
    "dequantised weights": lambda: model(
        """q = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q, sx, zx)
           v = DequantizeLinear<axis=0>(w, sw) c = DequantizeLinear(b, sx)
           h = Conv<pads=[1,1,0,0]>(d, v, c) p = QuantizeLinear(h, sy, zy)
           y = DequantizeLinear(p, sy, zy)""",
        **quantised(
            w=integers(4, 3, 2, 2), sw=np.abs(normal(4)), b=integers(4, dtype=np.int32, bits=9)
        ),
    ),
}  # fmt: skip
AROUND = {
    "a value read levels later": lambda: model(
        "a = Relu(x) h = Conv(a, w) i = Conv(h, w) j = Conv(i, w) y = Sum(a, h, i, j, x)",
        w=normal(3, 3, 1, 1),
    ),
    "branches of unequal depth": lambda: model(
        "h = Conv(x, w) i = Conv(h, w) j = Conv(i, w) k = Conv(x, w) s = Add(j, k) y = Conv(s, w)",
        w=normal(3, 3, 1, 1),
    ),
    "outputs of every kind": lambda: model(
        """h = Conv(x, w) r = Relu(h) k = Identity(w) s = Shape(h) y = Conv(r, k)
           a = Abs(z) one = Constant<value = float[2] {1.0, 2.0}>() u = Add(one, one)""",
        "float[N,3,6,5] x, float[2] z", "h y x w k a one s r u", w=normal(3, 3, 1, 1),
    ),
    "outputs that depend on no MAC": lambda: model(
        "h = Conv(x, w) t = Tanh(x) y = Add(t, c)", outputs="y", w=normal(3, 3, 1, 1), c=normal(5)
    ),
    "an activation that two operators read": lambda: model(
        "r = Relu(x) h = Conv(r, w) i = Conv(r, v) y = Add(h, i)",
        w=normal(3, 3, 1, 1), v=normal(3, 3, 1, 1, seed=1),
    ),
    "constants that several segments read": lambda: model(
        """k = Identity(w) d = DequantizeLinear(q, s) m = Mul(d, d)
           h = Conv(x, k) a = Add(h, m) i = Conv(a, k) b = Add(i, m) y = Conv(b, k)""",
        w=normal(3, 3, 1, 1), q=integers(5), s=F(0.5),
    ),
    "weights made by nodes": lambda: model(
        """f = ConstantOfShape<value = float[1] {0.3}>(n) t = Transpose<perm=[1,0,2,3]>(f)
           g = Mul(t, c) h = Conv(x, g) y = Conv(h, u)""",
        n=np.array([3, 4, 2, 2]), c=normal(4, 1, 1, 1), u=normal(2, 4, 1, 1),
    ),
    "large constants": lambda: model(
        "h = MatMul(x, w) a = Add(h, t) y = MatMul(a, v)", "float[1,400] x",
        w=normal(400, 300), t=normal(200, 300), v=normal(300, 2),
    ),
    "local functions": lambda: model(
        "h = local.block<group=3>(x, w) y = local.block<group=1>(h, v)",
        functions="""
          <domain: "local", opset_import: ["": 21, "local": 1]> block<group>(a, w) => (b)
            { [n0] h = Conv<group: int = @group>(a, w) k = Constant<value = float {0.5}>()
              b = Mul(h, k) }""",
        w=normal(3, 1, 2, 2), v=normal(2, 3, 1, 1),
    ),
    "large constants inside functions and branches": lambda: with_large_constants(
        model(
            """h = local.f(x) c = ReduceMax<keepdims=0>(h) p = Greater(c, zero)
               y = If(p) <then_branch = t () => (a)
                            { k = Constant<value = float {0.5}>() a = Add(h, k) },
                          else_branch = e () => (b) { b = Neg(h) }>""",
            "float[N,20,13] x",
            functions="""
              <domain: "local", opset_import: ["": 21]> f (a) => (b)
                { w = Constant<value = float {0.5}>() b = MatMul(w, a) }""",
            zero=F(0),
        )
    ),
    "sparse weights and constants": lambda: sparse(
        model("h = MatMul(x, s) a = Add(h, s) y = MatMul(a, w)", "float[4,4] x", w=normal(4, 3))
    ),
    "graphs that read values from outside": lambda: model(
        """h = Conv(x, w) p = ReduceMax<keepdims=0>(x) c = Greater(p, zero)
           g = If(c) <then_branch = t () => (a) { a = Relu(h) },
                      else_branch = e () => (b) { b = Add(h, k) }>
           y = Conv(g, w)""",
        w=normal(3, 3, 1, 1), zero=F(0), k=F(2),
    ),
    "integers between": lambda: model(
        """h = Conv(x, w) q = QuantizeLinear(h, sx, zx) m = MaxPool<kernel_shape=[2,2]>(q)
           d = DequantizeLinear(m, sx, zx) y = Conv(d, w)""",
        **quantised(w=normal(3, 3, 1, 1)),
    ),
    "sequences between": lambda: model(
        """h = Conv(x, w) q = SequenceConstruct(h, x) i = Conv(h, w) e = SequenceInsert(q, i)
           y = ConcatFromSequence<axis=1>(e)""",
        w=normal(3, 3, 1, 1),
    ),
}  # fmt: skip
STAYING = {
    "if": (
        lambda: model(
            """c = Constant<value = bool {1}>() m = Not(c) k = Not(m) h = Conv(x, w)
               r = ReduceMax<keepdims=0>(h) p = Greater(r, zero)
               y = If(p) <then_branch = t () => (a) { a = Conv(h, w) },
                          else_branch = e () => (b) { b = Add(h, h) }>""",
            w=normal(3, 3, 1, 1), zero=F(0),
        ),
        ["it is inside an If, a Loop, a Scan or a function"],
    ),
    "function of another opset": (
        lambda: model(
            "h = local.f(x, w) y = Conv(h, w)", w=normal(3, 3, 1, 1), functions="""
              <domain: "local", opset_import: ["": 20]> f (a, w) => (b) { b = Conv(a, w) }""",
        ),
        ["it is inside an If, a Loop, a Scan or a function"],
    ),
    "loop": (
        lambda: model(
            """h = Conv(x, w)
               y = Loop(n, go, h) <body = b (int64 i, bool c, float[1,3,6,5] s)
                   => (bool d, float[1,3,6,5] t) { d = Identity(c) t = Conv(s, w) }>""",
            w=normal(3, 3, 1, 1), n=np.int64(3), go=np.array(True),
        ),
        ["it is inside an If, a Loop, a Scan or a function"],
    ),
    "lstm": (
        lambda: model(
            "h = MatMul(x, v) s, t = LSTM<hidden_size=3>(h, w, r) y = MatMul(s, u)",
            "float[5,2,4] x",
            v=normal(4, 4), w=normal(1, 12, 4), r=normal(1, 12, 3), u=normal(3, 2),
        ),
        ["LSTM runs as a whole"] * 2,
    ),
    "deformable convolution": (
        lambda: model(
            "h = Conv(x, w) o = Conv(x, v) y = DeformConv<kernel_shape=[1,1]>(h, w, o)",
            w=normal(3, 3, 1, 1), v=normal(2, 3, 1, 1), opset=22,
        ),
        ["DeformConv runs as a whole"],
    ),
    "fused convolution": (
        lambda: model(
            'h = Conv(x, w) y = com.microsoft.FusedConv<activation="Relu">(h, w)',
            w=normal(3, 3, 1, 1),
        ),
        ["FusedConv runs as a whole"],
    ),
    "a bias that is an activation": (
        lambda: model(
            "h = MatMul(x, w) y = Gemm(h, w, x)", "float[N,4] x", w=normal(4, 4)
        ),
        ["its bias, or the scale of its output, is computed as it runs"],
    ),
    "blocks within a filter": (
        lambda: model(
            "d = DequantizeLinear<axis=0, block_size=2>(q, s) h = MatMul(x, w) y = MatMul(h, d)",
            "float[N,4] x", w=normal(4, 4), q=integers(4, 3), s=np.abs(normal(2, 3)),
        ),
        ["the scale of its weights changes within a filter"],
    ),
}  # fmt: skip
