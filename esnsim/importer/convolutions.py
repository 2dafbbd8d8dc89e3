"""Readers of the convolutions: Conv, ConvTranspose and their quantised and fused relatives."""

from onnx import NodeProto

from esnsim.errors import MisfitError, ModelError
from esnsim.importer.channels import channel_ids
from esnsim.importer.constants import attribute
from esnsim.importer.products import Weighted, by, mismatch, shape_of
from esnsim.importer.values import Constant, Value
from esnsim.model.network import Array, Geometry, Ids


def convolution(node: NodeProto, x: Value, w: Constant, name: str) -> Weighted:
    """Conv: w (M, C/g, *kernel)."""
    shape = shape_of(x, name)
    if attribute(node, "channels_last", 0):
        shape = (shape[0], shape[-1], *shape[1:-1])
    groups = _int(node, "group", 1)
    rank = len(shape) - 2
    if rank < 0 or len(w.shape) != rank + 2 or shape[1] != w.shape[1] * groups:
        raise MisfitError(mismatch(name, f"{groups} × {by(w.shape[1:2])} channels", shape, w.shape))
    _kernel(node, w.shape[2:], name)
    strides, dilations = _ints(node, "strides", rank, 1), _ints(node, "dilations", rank, 1)
    pads = _pads(node, shape[2:], w.shape[2:], strides, dilations)
    geometry = _geometry(
        name, batch=shape[0], input_size=shape[2:], kernel=w.shape[2:], strides=strides,
        dilations=dilations, pads=pads, groups=groups,
    )  # fmt: skip
    channel_axis = -1 if attribute(node, "channels_last", 0) else 1

    def output(filters: Ids) -> Ids:
        at = rank + 1 if channel_axis == -1 else 1
        return filters.reshape([-1 if a == at else 1 for a in range(rank + 2)])

    channels = channel_ids(x, [channel_axis], [shape[1]])
    size = (w.shape[0], *geometry.output_size)
    size = (*size[1:], size[0]) if channel_axis == -1 else size
    return Weighted(
        constant=w,
        shape=w.shape,
        arrange=lambda a: a,
        geometry=geometry,
        channels=channels,
        output=output,
        output_shape=(shape[0], *size),
        upright=True,
    )


def transposed_convolution(node: NodeProto, x: Value, w: Constant, name: str) -> Weighted:
    """ConvTranspose: w (C, M/g, *kernel); each input element meets every weight of its channel."""
    shape = shape_of(x, name)
    groups = _int(node, "group", 1)
    rank = len(shape) - 2
    if rank < 0 or len(w.shape) != rank + 2 or shape[1] != w.shape[0] or shape[1] % groups:
        raise MisfitError(mismatch(name, f"{by(w.shape[:1])} channels", shape, w.shape))
    kernel = w.shape[2:]
    _kernel(node, kernel, name)
    strides, dilations = _ints(node, "strides", rank, 1), _ints(node, "dilations", rank, 1)
    padding = _ints(node, "output_padding", rank, 0)
    pads = _transposed_pads(node, shape[2:], kernel, strides, dilations, padding)
    geometry = _geometry(
        name, batch=shape[0], input_size=shape[2:], kernel=kernel, strides=strides,
        dilations=dilations, pads=pads, groups=groups, transposed=True, output_padding=padding,
    )  # fmt: skip
    fan_in, fan_out = shape[1] // groups, w.shape[1]

    def arrange(a: Array) -> Array:
        split = a.reshape(groups, fan_in, fan_out, *kernel)
        return split.swapaxes(1, 2).reshape(groups * fan_out, fan_in, *kernel)

    def output(filters: Ids) -> Ids:
        return filters.reshape(1, -1, *[1] * rank)

    channels = channel_ids(x, [1], [shape[1]])
    filters = groups * fan_out
    return Weighted(
        constant=w, shape=(filters, fan_in, *kernel), arrange=arrange, geometry=geometry,
        channels=channels, output=output,
        output_shape=(shape[0], filters, *geometry.output_size),
    )  # fmt: skip


def _geometry(name: str, **fields: object) -> Geometry:
    try:
        return Geometry(**fields)  # type: ignore[arg-type]
    except ValueError as error:
        raise MisfitError(
            f"'{name}': {error}: the model is damaged, or --input-shape does not fit it"
        ) from None


def _int(node: NodeProto, name: str, default: int) -> int:
    value = attribute(node, name, default)
    return value if isinstance(value, int) else default


def _ints(node: NodeProto, name: str, rank: int, default: int) -> tuple[int, ...]:
    value = attribute(node, name)
    return tuple(value) if isinstance(value, list) and value else (default,) * rank


def _kernel(node: NodeProto, kernel: tuple[int, ...], name: str) -> None:
    declared = _ints(node, "kernel_shape", 0, 0)
    if declared and declared != kernel:
        raise ModelError(
            f"'{name}' declares kernel_shape {declared} but its weights have {kernel}: "
            "the model is damaged; export it again"
        )


def _pads(
    node: NodeProto,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    mode = attribute(node, "auto_pad", b"NOTSET")
    rank = len(size)
    if mode == b"VALID":
        return ((0, 0),) * rank
    if mode in (b"SAME_UPPER", b"SAME_LOWER"):
        totals = [
            max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
            for n, k, s, d in zip(size, kernel, strides, dilations, strict=False)
            if s
        ]
        return tuple(_split(total, mode == b"SAME_UPPER") for total in totals)
    pads = _ints(node, "pads", 2 * rank, 0)
    return tuple(zip(pads[:rank], pads[rank:], strict=False))


def _transposed_pads(
    node: NodeProto,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    mode = attribute(node, "auto_pad", b"NOTSET")
    wanted = attribute(node, "output_shape")
    rank = len(size)
    if mode == b"VALID" or (mode == b"NOTSET" and not wanted):
        pads = (0,) * (2 * rank) if mode == b"VALID" else _ints(node, "pads", 2 * rank, 0)
        return tuple(zip(pads[:rank], pads[rank:], strict=False))
    given = wanted if isinstance(wanted, list) else None
    targets = given[-rank:] if given else [n * s for n, s in zip(size, strides, strict=False)]
    totals = [
        s * (n - 1) + o + d * (k - 1) + 1 - t
        for n, k, s, d, o, t in zip(
            size, kernel, strides, dilations, padding, targets, strict=False
        )
    ]
    if not given:  # an output that the kernels do not fill is not padded
        totals = [max(0, total) for total in totals]
    return tuple(_split(total, mode == b"SAME_UPPER") for total in totals)


def _split(total: int, upper: bool) -> tuple[int, int]:
    """Padding before and after; a negative total is output to add, which goes to the end."""
    small, large = (total // 2, total - total // 2) if total > 0 else (0, total)
    return (small, large) if upper or total < 0 else (large, small)
