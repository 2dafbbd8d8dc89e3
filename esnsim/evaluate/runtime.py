"""Whole models in ONNX Runtime, with optimisation on."""

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from esnsim.errors import ModelError
from esnsim.model.network import Array
from esnsim.run.foreign import standardise
from esnsim.run.session import first_line, session_options


def open_runtime(model: ModelProto, threads: int = 0) -> ort.InferenceSession:
    """A session with optimisation on. Raises ModelError where ONNX Runtime can't load it."""
    options = session_options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    try:
        return ort.InferenceSession(
            standardise(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"ONNX Runtime cannot load the model: {first_line(error)}") from None


def run(session: ort.InferenceSession, names: list[str], feed: dict[str, Array]) -> list[Array]:
    """Outputs of a session. Raises ModelError where it stops."""
    try:
        return [np.asarray(array) for array in session.run(names, feed)]
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"ONNX Runtime stopped: {first_line(error)}") from None
