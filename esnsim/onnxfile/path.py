"""A model's path as a command was given it, which keeps what was parsed."""

from typing import Any


class ModelPath(str):
    """A path, or `builtin:NAME`, whose file `load` parses once; pickled, it is plain text."""

    loaded: Any = None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)
