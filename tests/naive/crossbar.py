"""The crossbar simulated cell by cell, sum by sum, from its description."""

from collections import Counter
from fractions import Fraction
from itertools import product
from math import ceil

from tests.naive.array import reduction


def run(spec, geometry, codes, widths, live, x, zero_point):
    """Outputs {(n, filter, *position): Σ q·(x − zero)} and a Counter of what it took.

    `codes` maps (filter, channel, *tap) to midrise q = 2·W_int; `widths` (M,); `live` (G, C/g).
    Without errors and noise. Not for transposed geometries, nor signed activations.
    """
    rows = rows_of(geometry, codes, live)
    filters = [stored(spec, row, b) for row, b in zip(rows, widths, strict=True)]
    cell_bits = spec.bits_per_cell or max([1, *(bits for _, bits, _, _ in filters)])
    residual = 0.0
    if spec.on_off_ratio and spec.adc_bits:
        residual = ((1 << cell_bits) - 1) / (spec.on_off_ratio - 1)
    columns = [list(slices(f, *filters[f], cell_bits)) for f in range(len(filters))]
    tops = amplitudes(spec, columns, cell_bits)
    fullest = Fraction((1 << cell_bits) - 1, 2 if spec.flip else 1)
    largest = (fullest + Fraction(reached(spec, residual))) * ((1 << spec.input_bits) - 1)
    outputs, counts = Counter(), Counter()
    per_group = len(filters) // geometry.groups
    for group, window in product(
        range(geometry.groups), product(range(len(x)), *map(range, geometry.output_size))
    ):
        values = [a for *_, a in reduction(geometry, x, zero_point, window, group, live)]
        mine = range(group * per_group, (group + 1) * per_group)
        placed = [column for f in mine for column in columns[f]]
        for first in range(0, len(values), spec.rows):
            part = slice(first, first + spec.rows)
            converter = levels(spec, Fraction(largest) * len(values[part]))
            for shift in range(0, spec.activation_bits, spec.input_bits):
                mask = (1 << spec.input_bits) - 1
                driven = [a >> shift & mask for a in values[part]]
                per_array = spec.columns // spec.cells_per_weight
                for array in (placed[i : i + per_array] for i in range(0, len(placed), per_array)):
                    counts["array_reads"] += 1
                    counts["row_drives"] += len(driven)
                    for f, scale, unit, column in array:
                        counts["conversions"] += 1
                        counts["shift_adds"] += 1
                        counts["cell_operations"] += spec.cells_per_weight * len(driven)
                        cells, turned = written(spec, column[part], cell_bits)
                        for cell in cells:
                            counts["amplitude"] += price(spec, cell, unit, tops.get(f))
                        leak = reached(spec, residual) * sum(driven)
                        total = sum(c * a for c, a in zip(cells, driven, strict=True)) + leak
                        found = converted(total, converter) - leak
                        if turned:
                            found = ((1 << cell_bits) - 1) * sum(driven) - found
                        outputs[window[0], f, *window[1:]] += scale * found * (1 << shift)
        for f in mine:
            key = (window[0], f, *window[1:])
            for a, q in zip(values, rows[f], strict=True):
                if widths[f]:
                    outputs[key] -= filters[f][3] * a + q * zero_point
    return outputs, counts


def written(spec, cells, cell_bits):
    """The cells of a column in an array, and whether they are the complements of what they mean."""
    full = (1 << cell_bits) - 1
    if spec.flip and 2 * sum(cells) > full * len(cells):
        return [full - cell for cell in cells], True
    return cells, False


def geometry_taps(geometry):
    return list(product(*map(range, geometry.kernel)))


def rows_of(geometry, codes, live):
    """The codes of each filter that meet live channels, in the order of the rows."""
    filters = 1 + max(key[0] for key in codes)
    return [
        [
            codes[(f, c, *tap)]
            for tap in geometry_taps(geometry)
            for c, alive in enumerate(live[f * geometry.groups // filters])
            if alive
        ]
        for f in range(filters)
    ]


def stored(spec, codes, width):
    """What cells hold of a filter, in how many bits, in units of how many halves of a step, and
    what was added to each code."""
    if not width:
        return [], 0, 1, 0
    if spec.sign == "differential":
        return codes, max(abs(q) for q in codes).bit_length(), 1, 0
    if 0 in codes:
        return [q + (1 << width) for q in codes], width + 1, 1, 1 << width
    return [(q + (1 << width) - 1) // 2 for q in codes], width, 2, (1 << width) - 1


def slices(f, values, bits, unit, _, cell_bits):
    """Columns of a filter: (filter, what its sum counts, unit, signed digits)."""
    for place in range(ceil(bits / cell_bits)):
        digits = [abs(v) // 2 ** (cell_bits * place) % 2**cell_bits for v in values]
        signed = [-d if v < 0 else d for d, v in zip(digits, values, strict=True)]
        yield f, unit * 2 ** (cell_bits * place), unit, signed


def amplitudes(spec, columns, cell_bits):
    """Class A: the largest amplitude of each filter's scope; empty in class B."""
    if spec.amplitude_class == "B":
        return {}
    own = {
        f: max(
            abs(cell) * unit
            for *_, unit, column in mine
            for first in range(0, len(column), spec.rows)
            for cell in written(spec, column[first : first + spec.rows], cell_bits)[0]
        )
        for f, mine in enumerate(columns)
        if mine
    }
    widest = max(own.values(), default=0)
    return own if spec.scope == "filter" else dict.fromkeys(own, widest)


def price(spec, cell, unit, top):
    return (top or abs(cell) * unit) ** spec.exponent if cell else 0


def reached(spec, residual):
    """The conductance of a cell at zero that the converter sees: pairs cancel it."""
    return residual if spec.sign == "offset" else 0.0


def levels(spec, limit):
    """Step, first and last code, and what code 0 stands for; None if it is ideal."""
    if spec.adc_bits is None:
        return None
    codes = 2**spec.adc_bits
    pairs = spec.sign == "differential"
    first = -codes // 2 if pairs else 0
    if spec.adc_range == "granular":
        return Fraction(1), first, first + codes - 1, 0
    low = -limit if pairs else 0
    step = (limit - low) / (codes - 1)
    if spec.zero_level:
        return step, first, first + codes - 1, 0
    return step, 0, codes - 1, low


def converted(total, converter):
    """The value of the nearest code; between two that of the even one, as `round` has it."""
    if converter is None:
        return total
    step, first, last, zero = converter
    return float(zero + step * min(max(round((Fraction(total) - zero) / step), first), last))
