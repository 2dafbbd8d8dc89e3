"""The graph that a network was read from: an opened Model, by the name that it had before 0.2."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar
from warnings import warn

from esnsim.errors import UsageError
from esnsim.graph.model import Model, open_model
from esnsim.graph.nodes import reads, tensors
from esnsim.model.network import Layer, Network
from esnsim.onnxfile.load import Loaded

__all__ = ["Graph", "accepts_pair", "graph_of", "reads", "tensors"]

Graph = Model
F = TypeVar("F", bound=Callable[..., Any])


def graph_of(loaded: Loaded, network: Network) -> Model:
    """The model that a network was read from, opened again: `open_model` gives both at once.

    Raises UsageError where the network was read from another model.
    """
    model = open_model(loaded, dict(network.source.inputs))

    def key(layer: Layer) -> tuple[object, ...]:
        return layer.op, layer.weight.shape, layer.geometry

    if [*map(key, model.network.layers)] != [*map(key, network.layers)]:
        raise UsageError(
            f"the network was not read from {loaded.title}, whose layers differ: give the model "
            "that read_onnx was given"
        )
    return replace(model, network=network)


def accepts_pair(function: F) -> F:
    """Let a function of a Model take a graph, or a parsed model, and its network, as before 0.2."""

    @wraps(function)
    def either(model: Model | Loaded, *rest: Any, **named: Any) -> Any:
        if rest and isinstance(rest[0], Network):
            warn(f"{function.__name__} takes a Model: use open_model", DeprecationWarning, 2)
            network, *rest = rest  # type: ignore[assignment]
            model = graph_of(model, network) if isinstance(model, Loaded) else model
            model = replace(model, network=network)
        return function(model, *rest, **named)

    return either  # type: ignore[return-value]
