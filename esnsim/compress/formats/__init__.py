"""A compressed model as a file: codes in standard operators, in QONNX's, or floats."""
