"""Machines by name, step by step: each from its definition alone, in Python's own integers.

A layer is cut into tiles of windows and tiles of filters; at each step of the reduction a tile of
both takes what `STEPS` says for its machine, looking at the integers that are there.
"""

from itertools import product
from math import ceil, prod

from tests.naive.array import padded, reduction


def ones(n):
    return bin(n).count("1")


def union(values):
    found = 0
    for value in values:
        found |= value
    return found


def signed_width(k):
    """Bits of an integer in two's complement, never below 2."""
    bits = 2
    while not -(1 << bits - 1) <= k < 1 << bits - 1:
        bits += 1
    return bits


class Tile:
    """What meets at a step: activations of windows and integers of filters, a list of lanes each.

    `widths` are those of the filters as stored, `widest` that of the layer (1 for masks).
    """

    def __init__(self, activations, k, q, widths, widest, bits, signed, lanes):
        self.a, self.k, self.q, self.widths, self.widest = activations, k, q, widths, widest
        self.bits, self.signed, self.lanes = bits, signed, lanes

    def seen(self):
        """Activations as the bits that are stored."""
        return [[a % (1 << self.bits) for a in window] for window in self.a]

    def cut(self):
        """Weights in two's complement, as wide as the layer's widest."""
        return [[k % (1 << self.widest) for k in row] for row in self.k]


def bits_of(a, signed):
    if not signed:
        return a.bit_length()
    return 1 if a in (0, -1) else signed_width(a)


def dadiannao(tile):
    return ceil(tile.bits / 8) * ceil(tile.widest / 8)


def stripes(tile):
    return tile.bits * ceil(tile.widest / 8)


def shapeshifter(tile):
    longest = max(max([1, *(bits_of(a, tile.signed) for a in w)]) for w in tile.a)
    return longest * ceil(tile.widest / 8)


def bitpragmatic(tile):
    return max(max(1, ones(union(w))) for w in tile.seen()) * ceil(tile.widest / 8)


def loom_static(tile):
    longest = max(max([1, *(bits_of(a, tile.signed) for a in w)]) for w in tile.a)
    return longest * max(2, tile.widest)


def loom(tile):
    pairs = product(tile.a, tile.k)
    return max(
        max([1, *(bits_of(a, tile.signed) for a in w)]) * max(signed_width(k) for k in row)
        for w, row in pairs
    )


def laconic(tile):
    most = 1
    for window, row in product(tile.seen(), tile.k):
        for a, k in zip(window, row, strict=True):
            most = max(most, ones(a) * ones(abs(k)))
    return most


def serial(tile):
    return ceil(tile.bits / 8) * max(tile.widths)


def unpu(tile):
    return ceil(tile.bits / 16) * max(tile.widths)


def bismo(tile):
    return tile.bits * tile.widest


def bitwave(tile):
    return ceil(tile.bits / 8) * max(ones(union(map(abs, row))) for row in tile.k)


def bitlet(tile):
    most = 0
    for row in tile.cut():
        count = [sum(k >> s & 1 for k in row) for s in range(16)]
        most = max(most, max(count[:8]) + max(count[8:]))
    return ceil(tile.bits / 8) * most


def bitvert_bits(tile):
    half, most = max(1, tile.lanes // 2), 1
    for row in tile.cut():
        most = max(most, sum(ceil(sum(k >> s & 1 for k in row) / half) for s in range(16)))
    return ceil(tile.bits / 8) * most


def pragmatic_weights(tile):
    return ceil(tile.bits / 8) * max(ones(abs(k)) + (k < 0) for row in tile.k for k in row)


STEPS = {
    "dadiannao": dadiannao, "stripes": stripes, "shapeshifter": shapeshifter,
    "bitpragmatic": bitpragmatic, "loom-static": loom_static, "loom": loom, "laconic": laconic,
    "unpu": unpu, "maki-serial": serial, "sorted": serial, "bismo": bismo, "bitfusion": dadiannao,
    "bitwave": bitwave, "bitlet": bitlet, "bitvert": serial, "bitvert-bits": bitvert_bits,
    "pragmatic-weights": pragmatic_weights, "int8": dadiannao,
}  # fmt: skip
WHOLE = ("dadiannao", "stripes", "shapeshifter", "bitpragmatic", "bitfusion", "int8")
BY_TAP = (
    "dadiannao", "stripes", "shapeshifter", "bitpragmatic", "loom-static", "loom", "laconic",
    "bitfusion", "bitwave", "bittactical",
)  # fmt: skip
BITSIM = ("bitlet", "bitvert", "bitvert-bits", "pragmatic-weights")


def steps(name, taps, channels, lanes, flat=False):
    """The places (tap, channel) of each step."""
    if name in BY_TAP and not flat:
        runs = [[(t, c) for c in range(channels)] for t in range(taps)]
    elif name in BITSIM and taps > channels:
        runs = [[(t, c) for t in range(taps)] for c in range(channels)]
    elif name in BITSIM:
        runs = [[(t, c) for c in range(channels)] for t in range(taps)]
    else:
        runs = [[(t, c) for t in range(taps) for c in range(channels)]]
    return [run[i : i + lanes] for run in runs for i in range(0, len(run), lanes)]


def window_tiles(name, images, size, windows):
    """Windows side by side: of one image, or of one row of the output."""
    row = size[-1] if size and name in (*BITSIM, "bitwave") else None
    tiles = []
    for image in images:
        length = row or len(image)
        for start in range(0, len(image), length):
            run = image[start : start + length]
            tiles += [run[i : i + windows] for i in range(0, len(run), windows)]
    return tiles


class Layer:
    """A layer in plain numbers: codes[(filter, channel, *tap)], widths, live[group][channel]."""

    def __init__(self, geometry, codes, midrise, widths, live, x, zero_point, bits, signed):
        self.geometry, self.codes, self.midrise, self.widths = geometry, codes, midrise, widths
        self.live, self.x, self.zero, self.bits, self.signed = live, x, zero_point, bits, signed
        self.widest = max([w for g in self.groups() for w in self.alive_widths(g)], default=0)
        places = list(product(range(len(x)), *map(range, geometry.output_size)))
        each = geometry.rows * prod(geometry.output_size)
        self.images = [places[i : i + each] for i in range(0, len(places), each)]
        self.taps = list(product(*map(range, geometry.kernel)))

    def groups(self):
        return range(self.geometry.groups)

    def alive(self, group):
        size = len(self.widths) // self.geometry.groups
        mine = range(group * size, (group + 1) * size)
        return [f for f in mine if self.widths[f] and any(self.live[group])]

    def alive_widths(self, group):
        return [self.widths[f] for f in self.alive(group)]

    def channels(self, group):
        return [c for c, there in enumerate(self.live[group]) if there]

    def q(self, f, group):
        """{(tap index, channel index): code} of live channels."""
        return {
            (t, i): self.codes[(f, c, *tap)]
            for t, tap in enumerate(self.taps)
            for i, c in enumerate(self.channels(group))
        }

    def k(self, q):
        if not self.midrise:
            return dict(q)
        return {place: (code - 1) // 2 if code else 0 for place, code in q.items()}

    def window(self, window, group):
        """{(tap index, channel index): activation}."""
        values = reduction(self.geometry, self.x, self.zero, window, group, self.live)
        here = self.channels(group)
        return {(self.taps.index(tap), here.index(c)): a for tap, c, a in values}


def filter_banks(name, layer, group):
    """Filters as (k, q, width, widest), and then the masks of kept zeros as filters of one bit."""
    alive = layer.alive(group)
    if name == "sorted":
        alive = sorted(alive, key=lambda f: -layer.widths[f])
    codes = {f: layer.q(f, group) for f in alive}
    banks = [[(layer.k(codes[f]), codes[f], layer.widths[f], layer.widest) for f in alive]]
    masked = [f for f in sorted(alive) if layer.midrise and 0 in codes[f].values()]
    if masked and name not in (*WHOLE, "bittactical"):
        masks = [{place: int(q != 0) for place, q in codes[f].items()} for f in masked]
        banks.append([(mask, mask, 1, 1) for mask in masks])
    return banks


def cycles(name, rows, lanes, windows, layer):
    """Cycles of all images on one of `STEPS`, "maki" or "ideal-digital"."""
    total = 0
    for group in layer.groups():
        taps, channels = len(layer.taps), len(layer.channels(group))
        if not layer.alive(group):
            continue
        tiles = window_tiles(name, layer.images, layer.geometry.output_size, windows)
        if name == "bitfusion":
            lanes_here = lanes * 64 // (brick(layer.bits) * brick(layer.widest))
        else:
            lanes_here = lanes
        everywhere = sum(len(layer.channels(g)) for g in layer.groups() if True)
        flat = name == "bitfusion" and everywhere <= 3
        for bank in filter_banks(name, layer, group):
            if name in ("maki", "ideal-digital"):
                planes = sum(width for _, _, width, _ in bank)
                reads = ceil(taps * channels / lanes) * len(tiles) * ceil(layer.bits / 8)
                total += ceil(planes / rows) * reads
                continue
            for tile in tiles:
                seen = [layer.window(w, group) for w in tile]
                for at in range(0, len(bank), rows):
                    held = bank[at : at + rows]
                    for places in steps(name, taps, channels, lanes_here, flat):
                        total += STEPS[name](
                            Tile(
                                [[w[p] for p in places] for w in seen],
                                [[k[p] for p in places] for k, _, _, _ in held],
                                [[q[p] for p in places] for _, q, _, _ in held],
                                [width for _, _, width, _ in held],
                                held[0][3], layer.bits, layer.signed, lanes,
                            )
                        )  # fmt: skip
    return total


def stored(name, width, widest):
    """Bits of a weight as a machine stores it, in a filter of this width (a mask: 1 of 1)."""
    if name == "bitfusion" and widest <= 8:
        return brick(widest)
    if name in WHOLE:
        return ceil(widest / 8) * 8
    by_layer = ("loom-static", "bismo", "bitwave", "bitlet", "bitvert-bits", "pragmatic-weights")
    return widest if name in by_layer else width


def moved(name, rows, lanes, windows, layer):
    """Steps, and bits of weights, inputs and outputs that a buffer moves, of all images."""
    steps_taken = weights = inputs = outputs = 0
    for group in layer.groups():
        taps, channels = len(layer.taps), len(layer.channels(group))
        if not layer.alive(group):
            continue
        lanes_here = lanes
        if name == "bitfusion":
            lanes_here = lanes * 64 // (brick(layer.bits) * brick(layer.widest))
        flat = name == "bitfusion" and sum(len(layer.channels(g)) for g in layer.groups()) <= 3
        places = steps(name, taps, channels, lanes_here, flat)
        tiles = window_tiles(name, layer.images, layer.geometry.output_size, windows)
        outputs += sum(map(len, tiles)) * len(layer.alive(group)) * layer.bits
        for bank, tile in product(filter_banks(name, layer, group), tiles):
            held = len(range(0, len(bank), rows))
            if name in ("maki", "ideal-digital"):
                held = ceil(sum(width for _, _, width, _ in bank) / rows)
            steps_taken += held * len(places)
            inputs += held * taps * channels * len(tile) * layer.bits
            for _, _, width, widest in bank:
                weights += taps * channels * stored(name, width, widest) if width else 0
    return steps_taken, weights, inputs, outputs


def brick(bits):
    return 2 if bits <= 2 else 4 if bits <= 4 else 8


def bittactical(rows, lanes, windows, ahead, aside, layer):
    """Cycles of all images: lines of weights that are left, once for each tile of windows."""
    total = 0
    for group in layer.groups():
        bank = filter_banks("bittactical", layer, group)[0]
        taps, channels = len(layer.taps), len(layer.channels(group))
        tiles = window_tiles("bittactical", layer.images, layer.geometry.output_size, windows)
        passes = ceil(layer.bits / 8) * ceil(layer.widest / 8)
        for at in range(0, len(bank), rows):
            weights = [
                [
                    [q[p] for p in places] + [0] * (lanes - len(places))
                    for places in steps("bittactical", taps, channels, lanes)
                ]
                for _, q, _, _ in bank[at : at + rows]
            ]
            total += lines_kept(weights, lanes, ahead, aside) * len(tiles) * passes
    return total


def lines_kept(weights, lanes, ahead, aside):
    """weights[filter][line][lane]: move weights forward into zeros, and count the lines left."""
    neighbours, line, lane = [(h, 0) for h in range(1, ahead + 1)], 1, 1
    while len(neighbours) < ahead + aside:
        neighbours.append((line, lane))
        if len(neighbours) < ahead + aside:
            neighbours.append((line, -lane))
        line, lane = line % ahead + 1, lane + 1
    neighbours.sort()
    kept = skipped = 0
    count = len(weights[0])
    for now in range(count):
        if skipped < ahead and not any(any(row[now]) for row in weights):
            skipped += 1
            continue
        skipped, kept = 0, kept + 1
        for row in weights:
            while True:
                chances = {
                    empty: [
                        (now + h, (empty + d) % lanes)
                        for h, d in neighbours
                        if now + h < count and row[now + h][(empty + d) % lanes]
                    ]
                    for empty in range(lanes)
                    if not row[now][empty]
                }
                most = max(map(len, chances.values()), default=0)
                if not most:
                    break
                empty = next(e for e, found in chances.items() if len(found) == most)
                later, there = chances[empty][0]
                row[now][empty], row[later][there] = row[later][there], 0
    return kept


def systolic(rows, columns, dataflow, layer):
    """Cycles of all images: fold by fold, a wave through the grid each."""
    total = 0
    passes = ceil(layer.bits / 8) * ceil(layer.widest / 8)
    for group, image in product(layer.groups(), layer.images):
        filters, reach = len(layer.alive(group)), len(layer.taps) * len(layer.channels(group))
        if not filters:
            continue
        down, across, flow, load = {
            "weight-stationary": (reach, filters, len(image), rows),
            "input-stationary": (reach, len(image), filters, rows),
            "output-stationary": (len(image), filters, reach, 0),
        }[dataflow]
        folds = len(range(0, down, rows)) * len(range(0, across, columns))
        # Load what is held; the last operand enters after flow − 1 cycles, skewed by rows − 1, and
        # its result leaves columns − 1 later.
        fold = load + (flow - 1) + (rows - 1) + (columns - 1) + 1
        total += (folds * fold - 1) * passes
    return total


def scnn(side, many, weights, accumulator, banks, layer):
    """Cycles of all images: each channel's non-zero activations of a tile by its weights."""
    geometry, total = layer.geometry, 0
    out = geometry.output_size
    outputs = ceil(prod(out[:-1]) / side) * ceil(prod(out[-1:]) / side)
    block = max(1, accumulator // outputs)
    for group, n in product(layer.groups(), range(len(layer.x))):
        alive = layer.alive(group)
        codes = {f: layer.q(f, group) for f in alive}
        for values, taps in _planes(layer, group, n):
            for rest in product(*(range(s) for s in geometry.strides)):
                elements = _elements(values, side, geometry, rest)
                for start in range(0, len(alive), block):
                    held = [
                        (tap, number)
                        for tap, key in taps
                        if all(
                            j * d % s == r
                            for j, d, s, r in zip(
                                tap, geometry.dilations, geometry.strides, rest, strict=False
                            )
                        )
                        for number, f in enumerate(alive[start : start + block])
                        if codes[f][key] != 0
                    ]
                    total += max(
                        (_pairs(e, held, many, weights, banks, geometry) for e in elements),
                        default=0,
                    )
    return total


def _planes(layer, group, n):
    """Of each channel {position: activation}, and its taps (position, key of the weight).

    A matrix product has 256 channels at a time as a plane of 16 × 16 that a kernel covers.
    """
    geometry, channels = layer.geometry, layer.channels(group)
    first = group * len(layer.live[group])
    if not geometry.input_size:
        for start in range(0, len(channels), 256):
            part = list(enumerate(channels[start : start + 256]))
            values = {(row, column): 0 for row in range(16) for column in range(16)}
            values |= {(i // 16, i % 16): layer.x[n, first + c] for i, c in part}
            taps = [((i // 16, i % 16), (0, start + i)) for i, _ in part]
            yield values, sorted(taps, key=_column_first)
        return
    size = [n + sum(p) for n, p in zip(geometry.input_size, geometry.pads, strict=True)]
    for i, c in enumerate(channels):
        values = {}
        for place in product(*map(range, size)):
            at = [p - before for p, (before, _) in zip(place, geometry.pads, strict=True)]
            values[place] = padded(geometry, layer.x, layer.zero, n, first + c, at)
        taps = [(tap, (t, i)) for t, tap in enumerate(layer.taps)]
        yield values, sorted(taps, key=lambda each: _column_first(each))


def _column_first(each):
    """Taps and positions are paired column by column: the last axis is the slowest."""
    place = each[0]
    return place[-1:] + place[:-1]


def _flat_row(place, size):
    row = 0
    for p, length in zip(place[:-1], size[:-1], strict=True):
        row = row * length + p
    return row


def _elements(values, side, geometry, rest):
    """Positions that are not 0 and leave these remainders, of each element's tile."""
    size = [1 + max(place[axis] for place in values) for axis in range(len(next(iter(values))))]
    high, wide = ceil(prod(size[:-1]) / side), ceil(size[-1] / side)
    elements = {}
    for place in sorted(values, key=lambda p: (p[-1], _flat_row(p, size))):
        classed = zip(place, geometry.strides, rest, strict=False)
        if values[place] != 0 and all(p % s == r for p, s, r in classed):
            element = _flat_row(place, size) // high, place[-1] // wide
            elements.setdefault(element, []).append(place)
    return list(elements.values())


def _pairs(places, held, many, weights, banks, geometry):
    """Cycles of an element: its activations by groups, with weights by groups."""
    total = 0
    for a in range(0, len(places), many):
        for w in range(0, len(held), weights):
            used = {}
            for place, (tap, number) in product(places[a : a + many], held[w : w + weights]):
                output = _output(place, tap, geometry)
                if output is not None and banks:
                    bank = _bank(*output, number) % banks
                    used[bank] = used.get(bank, 0) + 1
            total += max(1, *used.values()) if used else 1
    return total


def _output(place, tap, geometry):
    """Column and flat row of the output where a position meets a tap, None outside."""
    if not geometry.input_size:
        return (0, 0) if place == tap else None
    at = []
    axes = zip(
        place, tap, geometry.strides, geometry.dilations, geometry.output_size, strict=True
    )  # fmt: skip
    for p, t, stride, dilation, last in axes:
        where, left = divmod(p - t * dilation, stride)
        if left or not 0 <= where < last:
            return None
        at.append(where)
    return at[-1], _flat_row(at, geometry.output_size)


def _bank(x, y, k):
    high = ((k & 4) << 2) ^ ((x & 2) << 3) ^ ((y & 2) << 3)
    return high + ((x & 1) << 3) + ((y & 1) << 2) + (k & 3)


def reads(dac_bits, cell_bits, stages, fill, serial, layer):
    """Reads of all images: a driver's bits at a time, slices one after the other or together."""
    if not layer.widest:
        return 0
    drives = ceil(layer.bits / (dac_bits or layer.bits)) + stages
    slices = ceil(layer.widest / cell_bits) if serial else 1
    return sum(len(image) * drives * slices + fill for image in layer.images)


def columns_of(layer, group, cell_bits):
    """Cells of each column: a slice of each weight of a filter, stored with an offset.

    k + 2^(b−1), and q + 2^b where zeros are kept.
    """
    for f in layer.alive(group):
        q, bits = layer.q(f, group), layer.widths[f]
        values = layer.k(q)
        if layer.midrise and 0 in q.values():
            values, bits = q, bits + 1
        for place in range(0, bits, cell_bits):
            yield [
                (values[key] + 2 ** (bits - 1) >> place) % 2**cell_bits for key in sorted(values)
            ]


def written(column, top, rows, flip):
    """Arrays of a column as they are written: inverted where that is less."""
    for start in range(0, len(column), rows):
        part = column[start : start + rows]
        other = [top - cell for cell in part]
        yield other if flip and sum(other) < sum(part) else part


def least_adc(rows, cell_bits, dac_bits, flip, layer):
    """Bits of the largest sum that any column can have."""
    most, top = 0, 2**cell_bits - 1
    for group in layer.groups():
        for column in columns_of(layer, group, cell_bits):
            for part in written(column, top, rows, flip):
                most = max(most, sum(part) * (2 ** min(dac_bits or layer.bits, layer.bits) - 1))
    return most.bit_length()


def input_power(rows, columns, cell_bits, dac_bits, flip, layer):
    """Rows driven with something, and Σ x²·G, read by read and cell by cell."""
    drives = power = 0
    step = dac_bits or layer.bits
    lift = 2 ** (layer.bits - 1) if layer.signed else 0
    for group in layer.groups():
        cells = [
            [cell for part in written(column, 2**cell_bits - 1, rows, flip) for cell in part]
            for column in columns_of(layer, group, cell_bits)
        ]
        across = ceil(len(cells) / columns)
        for image in layer.images if cells else []:
            for window in image:
                seen = [a + lift for _, a in sorted(layer.window(window, group).items())]
                for row, a in enumerate(seen):
                    for place in range(0, layer.bits, step):
                        x = (a >> place) % 2**step
                        drives += across * (x > 0)
                        power += x * x * sum(column[row] for column in cells)
    return drives, power
