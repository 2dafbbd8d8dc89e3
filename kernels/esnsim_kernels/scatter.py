"""Sums of windows, counted through all images, to their places in a layer's output."""

from numba import njit, uint64

__all__ = ["scatter"]


@njit(nogil=True, error_model="numpy")
def scatter(sums, n, out, f, at):
    """Sums of n windows from `at` on to filter f of out (batch, M, windows); they wrap around."""
    v, size = uint64(0), uint64(out.shape[2])
    while v < n:
        image, place = (at + v) // size, (at + v) % size
        count = min(n - v, size - place)
        for i in range(count):
            out[image, f, place + i] = sums[v + i]
        v += count
