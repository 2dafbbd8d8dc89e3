"""Numba kernels: arrays in, arrays out. Serial, cached, without the GIL; shapes are not checked."""

import atexit
import shutil
import tempfile

import numba


def _probe() -> None:
    """A function to be cached."""


def _find_cache() -> None:
    """Cache in a folder of this process where Numba may write to none of its own.

    As in a container without a home, where importing a cached kernel would fail. The folder goes
    with the process: code from one that others can write to is not to be trusted.
    """
    try:
        numba.njit(cache=True)(_probe)
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="esnsim-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        numba.config.CACHE_DIR = folder


_find_cache()
