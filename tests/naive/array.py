"""The MAC array simulated unit by unit, cycle by cycle, from its description."""

from collections import Counter
from itertools import product
from math import ceil, prod


def padded(geometry, x, zero_point, n, channel, position):
    """The activation at a position that may lie in the padding, less nothing."""
    inside = all(0 <= p < size for p, size in zip(position, geometry.input_size, strict=True))
    return int(x[(n, channel, *position)]) if inside else zero_point


def reduction(geometry, x, zero_point, window, group, live):
    """The activations that one window of a group multiplies: (tap, live channel) in order."""
    n, *at = window
    channels = len(live[group])
    for tap in product(*map(range, geometry.kernel)):
        position = [
            p * s + t * d - before
            for p, s, t, d, (before, _) in zip(
                at, geometry.strides, tap, geometry.dilations, geometry.pads, strict=True
            )
        ]
        for c in range(channels):
            if live[group][c]:
                yield tap, c, padded(geometry, x, zero_point, n, group * channels + c, position)


def passes(schedule, widths, masked, rows):
    """Rows of each pass: (filter, bit), a filter that waits ("wait"), or nothing (None)."""
    order = [f for f, b in enumerate(widths) if b > 0]
    if schedule == "bit-parallel":
        planes = [(f, bit) for f in order for bit in range(widths[f])]
        taken = [planes[i : i + rows] for i in range(0, len(planes), rows)]
    else:
        if schedule == "sorted":
            order.sort(key=lambda f: -widths[f])
        groups = [order[i : i + rows] for i in range(0, len(order), rows)]
        taken = [
            [(f, bit) if widths[f] > bit else "wait" for f in group]
            for group in groups
            for bit in range(max(widths[f] for f in group))
        ]
    masks = [(f, "mask") for f in order if masked[f]]
    taken += [masks[i : i + rows] for i in range(0, len(masks), rows)]
    return [row + [None] * (rows - len(row)) for row in taken]


def run(spec, geometry, codes, midrise, widths, live, x, zero_point):
    """Outputs {(n, filter, *position): Σ code·(x − zero)} and a Counter of unit-cycles.

    `codes` maps (filter, channel, *tap) to q = 2·W_int (midrise) or W_int; `widths` (M,) are
    those of the array; `live` (G, C/g). Not for transposed geometries.
    """
    filters = 1 + max(key[0] for key in codes)
    per_group = filters // geometry.groups
    windows = list(product(range(len(x)), *map(range, geometry.output_size)))
    image = geometry.batch * prod(geometry.output_size)
    images = [windows[i : i + image] for i in range(0, len(windows), image)]
    tiles = [im[i : i + spec.windows] for im in images for i in range(0, image, spec.windows)]
    counts = Counter()
    outputs = Counter()
    taps = prod(geometry.kernel)
    for group in range(geometry.groups):
        mine = range(group * per_group, (group + 1) * per_group)
        seen = [
            [
                codes[(f, c, *tap)]
                for tap in product(*map(range, geometry.kernel))
                for c in range(len(live[group]))
                if live[group][c]
            ]
            for f in mine
        ]
        masked = [midrise and widths[f] > 0 and 0 in seen[f - mine.start] for f in mine]
        length = taps * sum(live[group])
        slices = [widths[f] // spec.width_step for f in mine]
        for rows in passes(spec.schedule, slices, masked, spec.rows):
            mask_pass = any(row and row != "wait" and row[1] == "mask" for row in rows)
            for tile in tiles:
                held = sum(row not in (None, "wait") for row in rows)
                counts["weight_bits"] += held * length * (1 if mask_pass else spec.width_step)
                counts["activation_bits"] += length * len(tile) * spec.activation_bits
                for step in range(ceil(length / spec.lanes)):
                    counts["mask_cycles" if mask_pass else "cycles"] += 1
                    _cycle(
                        spec, geometry, seen, midrise, widths, live, x, zero_point, group,
                        mine.start, rows, mask_pass, tile, step, counts, outputs,
                    )  # fmt: skip
        for window in windows:
            values = [a for _, _, a in reduction(geometry, x, zero_point, window, group, live)]
            for f in mine:
                for code, a in zip(seen[f - mine.start], values, strict=True):
                    key = (window[0], f, *window[1:])
                    outputs[key] -= code * zero_point if widths[f] else 0
                    if midrise and widths[f] and not masked[f - mine.start]:
                        outputs[key] += a  # the ½ of every code: one sum for all filters
    return outputs, counts


def _cycle(spec, geometry, seen, midrise, widths, live, x, zero_point, group, first, rows,
           mask_pass, tile, step, counts, outputs):  # fmt: skip
    """One cycle: every unit of rows × lanes × windows works, or idles for the first cause."""
    for row, window_slot in product(rows, range(spec.windows)):
        window = tile[window_slot] if window_slot < len(tile) else None
        values = window and list(reduction(geometry, x, zero_point, window, group, live))
        length = len(seen[0])
        for lane in range(spec.lanes):
            k = step * spec.lanes + lane
            if row == "wait":
                counts["mask_idle" if mask_pass else "idle_width"] += 1
            elif row is None:
                counts["mask_idle" if mask_pass else "idle_rows"] += 1
            elif k >= length:
                counts["mask_idle" if mask_pass else "idle_lanes"] += 1
            elif window is None:
                counts["mask_idle" if mask_pass else "idle_windows"] += 1
            else:
                counts["mask_active" if mask_pass else "active"] += 1
                f, part = row
                code, a = seen[f][k], values[k][2]
                key = (window[0], first + f, *window[1:])
                pattern = a % (1 << spec.activation_bits)
                for bit in _bits(part, spec.width_step):
                    outputs[key] += _unit(code, bit, midrise, widths[first + f]) * a
                    one = code != 0 if bit == "mask" else _streamed(code, midrise) >> bit & 1
                    counts["essential_bits"] += bool(one) * pattern.bit_count()


def _bits(part, unit_bits):
    """The planes of a slice, which a unit multiplies in one cycle."""
    first = 0 if part == "mask" else part * unit_bits
    return ["mask"] if part == "mask" else range(first, first + unit_bits)


def _streamed(code, midrise):
    """k of a midrise code q = 2k + 1, kept zeros as 0; integer codes as they are."""
    return (code - 1) // 2 if midrise and code else code


def _unit(code, bit, midrise, width):
    """What one bit of a code is worth in units of the output: the top bit is negative."""
    if bit == "mask":
        return int(code != 0)
    value = (_streamed(code, midrise) >> bit & 1) << bit
    return (-value if bit == width - 1 else value) * (2 if midrise else 1)
