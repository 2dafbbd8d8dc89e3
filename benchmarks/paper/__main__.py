"""Run one figure: `python -m benchmarks.paper fig4 --data DIR --quick`."""

import json
import sys
from importlib import import_module

from benchmarks.paper.plots import panels
from benchmarks.paper.runs import RESULTS, start
from esnsim.errors import EsnsimError

FIGURES = ("fig2", "fig3", "fig4", "fig5", "fig6", "fig8", "fig9", "fig10", "trained", "noise")


def redraw() -> int:
    """Draw every stored result again."""
    for path in sorted(RESULTS.rglob("*.json")):
        document = json.loads(path.read_text())
        figure = import_module(f"benchmarks.paper.{document['figure']}")
        panels(path, *figure.draw(document))
    return 0


def main() -> int:
    name, *options = sys.argv[1:] or [""]
    if name not in (*FIGURES, "redraw"):
        usage = (
            "usage: python -m benchmarks.paper FIGURE --data DIR [--quick], or redraw, with one of"
        )
        print(usage, *FIGURES, sep="\n  ")
        return 2
    if name == "redraw":
        return redraw()
    try:
        figure = import_module(f"benchmarks.paper.{name}")
        runs = start(options, figure.__doc__ or "", figure.QUICK, figure.EPOCHS)
        for results in figure.measure(runs):
            runs.save(name, results, figure.draw)
        return 0
    except EsnsimError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
