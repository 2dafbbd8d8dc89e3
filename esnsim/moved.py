"""Documented modules under the names that they had before 0.2: importing one warns."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from warnings import warn

#: Old name -> new name, both below `esnsim`.
MOVED = {
    "compress": "compression",
    "compress.allocation": "compression.allocate",
    "compress.allocation.rate": "compression.allocate.rate",
    "compress.allocation.targets": "compression.allocate.targets",
    "compress.allocation.weighing": "compression.allocate.weighing",
    "compress.bench": "compression.workspace",
    "compress.evaluate": "evaluate.evaluator",
    "compress.pruning": "compression.prune",
    "compress.pruning.prune": "compression.prune.prune",
    "compress.pruning.shrink": "compression.prune.shrink",
    "compress.pruning.units": "compression.prune.units",
    "compression.bench": "compression.workspace",
    "data": "images.sets",
    "engines": "machines",
    "engines.analog": "machines.crossbar.engine",
    "engines.crossbar": "machines.crossbar.spec",
    "execute": "run",
    "execute.graph": "graph.graph",
    "machines.zoo": "machines.named",
    "machines.zoo.description": "machines.named.description",
    "metrics": "costs.cost",
    "network": "model.network",
    "quantizer": "quantization.quantizer",
}


class CallablePackage(ModuleType):
    """`esnsim.compress` is a function, and stays one where the module of that name was imported."""

    def __call__(self, *arguments: object, **options: object) -> object:
        """Compress a model."""
        from esnsim.api import compress

        return compress(*arguments, **options)  # type: ignore[arg-type]


class Redirect:
    """Finds a module under its old name, and gives the one that has its contents now.

    A finder and a loader without their base classes, which load thirty modules.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for an old name, None for all others."""
        root, _, old = fullname.partition(".")
        if root != "esnsim" or old not in MOVED:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its new name."""
        old = spec.name.partition(".")[2]
        new = f"esnsim.{MOVED[old]}"
        warn(f"{spec.name} is now {new}: import that", DeprecationWarning, stacklevel=2)
        spec.loader_state = import_module(new).__spec__
        if old == "compress":
            sys.modules[new].__class__ = CallablePackage
        return sys.modules[new]

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which has run already, its own spec back."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def redirect_old_names() -> None:
    """Let imports of old names find what has moved."""
    if not any(isinstance(finder, Redirect) for finder in sys.meta_path):
        sys.meta_path.insert(0, Redirect())
