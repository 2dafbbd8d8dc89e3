"""The README's picture: where the bits of the embedded ResNet-20 go. `make picture`."""

import esnsim
from benchmarks.harness import ROOT

OUTPUT = ROOT / "docs" / "images" / "resnet20.png"
SCHEMES = {
    "one step a layer, 4 bits": esnsim.Scheme(bits=4),
    "a step a filter, Δ = σ": esnsim.Scheme(rule="filter-sigma"),
}
COLOURS = ("#9db4c0", "#1f6f8b")


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    network = esnsim.read_onnx("builtin:resnet20")
    costs = {name: esnsim.cost(esnsim.quantize(network, s)) for name, s in SCHEMES.items()}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.2), width_ratios=(1, 2), layout="constrained"
    )
    for index, (name, cost) in enumerate(costs.items()):
        counts = [cost.histogram.get(bits, 0) for bits in range(9)]
        middles = [bits + (index - 0.5) * 0.4 for bits in range(9)]
        left.bar(middles, counts, 0.4, label=name, color=COLOURS[index])
    left.set(xlabel="width of the filter, bits (0: pruned)", ylabel="filters")
    left.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1))
    cost = costs["a step a filter, Δ = σ"]
    metrics = [row.metrics for row in cost.layers]
    bars = {
        "every filter as its layer's widest": [m.mac_bits_layerwise / 1e6 for m in metrics],
        "every filter by its own width": [m.esn_d_tilde.macs / 1e6 for m in metrics],
    }
    places = range(len(metrics))
    for colour, (label, heights) in zip(COLOURS, bars.items(), strict=True):
        right.bar(places, heights, 0.8, color=colour, label=label)
    names = [short(row.layer.name) for row in cost.layers]
    right.set_xticks(places, names, rotation=90, fontsize=7)
    right.set(ylabel="MAC×bit, millions")
    right.legend(
        frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2,
        title="MAC×bit of each layer, a step a filter, Δ = σ", title_fontsize=9,
    )  # fmt: skip
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUTPUT, dpi=110)
    print(OUTPUT)


def short(name: str) -> str:
    parts = name.strip("/").removeprefix("blocks/blocks.").replace("/shortcut/shortcut.0", " short")
    return " ".join(parts.split("/")[:-1])


if __name__ == "__main__":
    main()
