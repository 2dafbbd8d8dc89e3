"""Which values of a graph are constant; what nodes read and hold."""

from onnx import GraphProto

from esnsim.importer.constants import NOT_CONSTANT
from esnsim.onnxfile.nodes import reads, stored_names, tensors

__all__ = ["constant_names", "reads", "tensors"]


def constant_names(graph: GraphProto) -> set[str]:
    """Initialisers, and outputs of nodes that read nothing else and do not draw at random."""
    names = {*stored_names(graph)}
    for node in graph.node:
        if node.op_type not in NOT_CONSTANT and reads(node) <= names:
            names.update(name for name in node.output if name)
    return names
