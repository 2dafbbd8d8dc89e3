"""A candidate as a model: its codes written, its activations too where they are asked for."""

from esnsim.compression.export.activations import with_activations
from esnsim.compression.export.export import exported
from esnsim.compression.export.formats import FORMATS
from esnsim.compression.round.inputs import RANGES
from esnsim.compression.round.layers import Candidate
from esnsim.compression.workspace import Workspace
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import Model
from esnsim.graph.substitute import with_weights


def build(
    workspace: Workspace,
    candidate: Candidate | None,
    form: str = "qdq",
    activations: bool = False,
) -> tuple[Model, Evaluation | None]:
    """The model with the codes of a candidate, or in float, and its evaluation on the images.

    It is written as `form`, one of FORMATS, with `activations` in eight bits, whose ranges are
    those over the calibration images. What is evaluated is the model itself where ONNX Runtime
    knows its operators.
    """
    model = workspace.model
    changes = workspace.statistics if candidate is None else candidate.changes
    if candidate is None:
        proto = with_weights(model, changes)
    else:
        proto = exported(model, workspace.sites, candidate.quantized, form, changes)
    if activations and workspace.calibration is not None:
        images = workspace.calibration.first(RANGES)
        proto = with_activations(proto, images, model.input_shapes, workspace.threads)
    built, floats = model.reopened(proto), workspace.evaluator
    if floats is None:
        return built, None
    if not FORMATS[form].runs:
        return built, floats(changes)
    return built, floats.of(built)({})
