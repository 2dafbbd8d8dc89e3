"""Bytes on disk: the wire format, tensors, damage."""
