"""The slim ResNet-20s that ship in the wheel: `python -m benchmarks.embedded.slim --data DIR`.

Pruned by signal norm to a share of each layer's filters, then tuned with cosine annealing for
longer than the 4 epochs of the paper's Section 3. Options and checkpoints are those of
`benchmarks.paper`; with `--start builtin`, the embedded ResNet-20 is what is pruned.
`--models resnet20_05x` makes that one alone.
"""

import json
import sys

from benchmarks.embedded.__main__ import SHIPPED, accuracies
from benchmarks.harness import write
from benchmarks.paper.runs import Quick, start
from esnsim.training.export import export_onnx
from esnsim.training.masks import prune_by_norm
from esnsim.training.shrink import shrink

NAME = "resnet20"
KEPT = (0.25, 0.5, 0.75)


def slim_name(name: str, keep: float) -> str:
    """resnet20 and 0.25 -> resnet20_025x."""
    return f"{name}_{keep:g}x".replace(".", "")


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__ or "", Quick(epochs=2, images=5000), epochs=12)
    o = runs.options
    path = SHIPPED / "accuracy.json"
    for keep in KEPT:
        name = slim_name(NAME, keep)
        if name not in (o.models or [name]):
            continue
        base = runs.pretrained(NAME, o.seed)
        model = shrink(prune_by_norm(base, runs.example, keep), runs.example)
        runs.fit(f"slim-{name}", model, runs.recipe(learning_rate=0.05))
        (SHIPPED / f"{name}.onnx").write_bytes(export_onnx(model, runs.example, free_batch=True))
        results = json.loads(path.read_text())
        about = {"epochs": o.epochs, "seed": o.seed, "pruned_from": NAME}
        results[name] = accuracies(model, runs.test) | about
        write(path, results)
        print(name, results[name], flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
