"""A model's path as a command was given it, which keeps what was parsed; the embedded models."""

from pathlib import Path
from typing import Any

BUILTIN = "builtin:"
EMBEDDED = Path(__file__).parents[1] / "embedded"


def builtins() -> list[str]:
    """The embedded models, as a command is given them."""
    return [f"{BUILTIN}{path.stem}" for path in sorted(EMBEDDED.glob("*.onnx"))]


class ModelPath(str):
    """A path, or `builtin:NAME`, whose file `load` parses once; pickled, it is plain text."""

    loaded: Any = None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)
