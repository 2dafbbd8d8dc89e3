"""The border between what a damaged file makes others raise and the one error that says where."""

from collections.abc import Iterator
from contextlib import contextmanager

from esnsim.errors import EsnsimError, ModelError

#: What passes the border: errors that are said already, and mistakes of esnsim itself.
PASSING = (EsnsimError, MemoryError, AssertionError, ImportError, NameError)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever onnx, NumPy or a reader raises over a damaged part into a ModelError."""
    try:
        yield
    except PASSING:
        raise
    except Exception as error:
        raise ModelError(
            f"{what} is damaged, or written in a way that esnsim does not know "
            f"({type(error).__name__}: {error}): export the model again"
        ) from error
