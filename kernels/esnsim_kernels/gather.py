"""Windows of a layer's input as rows of a matrix."""

from numba import njit

__all__ = ["gather"]


@njit(cache=True, nogil=True, error_model="numpy")
def gather(x, images, taps, out):
    """out[g, i, c·T + t] = x[images[i], g·C + c, taps[i, t]], or 0 where that tap is −1.

    x (batch, groups·C, places), images (n,) int64, taps (n, T) int64, out (groups, n, C·T).
    """
    size = x.shape[1] // out.shape[0]
    for i in range(len(taps)):
        for g in range(out.shape[0]):
            at = 0
            for c in range(g * size, (g + 1) * size):
                for t in range(taps.shape[1]):
                    place = taps[i, t]
                    out[g, i, at] = x[images[i], c, place] if place >= 0 else 0.0
                    at += 1
