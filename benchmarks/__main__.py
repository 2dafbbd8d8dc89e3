"""Run a benchmark by its name: `python -m benchmarks cost`."""

import sys
from importlib import import_module

BENCHMARKS = {
    "allocate": "allocated against uniform widths of equal MAC×bit on four networks",
    "cost": "esnsim cost against its peers and the memory's read bandwidth",
    "evaluation": "accuracy with statistics corrected and not; constant and fed weights",
    "literature": "MAC×bit of published quantisers on ResNet-18 and ResNet-50",
    "quantisers": "ours beside others at equal MAC×bit, image by image, on four networks",
    "quantisers.brevitas": "Brevitas' GPTQ and learned rounding, in an environment of its own",
    "quantisers.goals": "what compression reaches of its goals on three sets of images",
    "quantisers.run": "more methods, one width after the other, on the embedded ResNet-20",
    "quantisers.wide": "compensated against nearest rounding at 8 and 6 bits on three sets",
    "pareto": "a sweep of 32 points of the embedded ResNet-20, and the cost side of one",
    "accuracy": "accuracy of the embedded ResNet-20 on machines",
    "qdq": "ONNX Runtime's quantised ResNet-20 on the array and by ONNX Runtime",
    "engines": "the engines on a ResNet-50 against ONNX Runtime, the roofline and crossbars",
    "scaling": "how time and memory of cost and simulate grow with a model",
    "machines": "ResNet-20 and ResNet-50 on all machines by name, and the widths that some prefer",
    "silicon": "costs against times measured on a T4 (HAWQ), and a row t4",
    "tensors": "pruning or quantisation of single tensors, at equal stored bits",
    "training": "what ESNTracker adds to a training step",
}


def main() -> int:
    name, *options = sys.argv[1:] or [""]
    if name not in BENCHMARKS:
        print("usage: python -m benchmarks NAME [options], with one of the names", file=sys.stderr)
        for known, title in BENCHMARKS.items():
            print(f"  {known:10} {title}", file=sys.stderr)
        return 2
    return int(import_module(f"benchmarks.{name}").main(options))


if __name__ == "__main__":
    raise SystemExit(main())
