"""Numba kernels: arrays in, arrays out. Serial, cached, without the GIL; shapes are not checked."""
