"""A machine from a TOML or YAML file: one table, the kind, of its description's fields."""

import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import yaml

from esnsim.errors import EsnsimError, UsageError
from esnsim.files.read import read_small

FILES = (".toml", ".yaml", ".yml")
LONGEST_BYTES = 1 << 16
T = TypeVar("T")


def is_file(text: str) -> bool:
    """Whether a text that names a machine is the path of a file."""
    return text.lower().endswith(FILES)


def read_machine(
    path: Path, option: str, kinds: Collection[str], describe: Callable[[str, dict[str, Any]], T]
) -> T:
    """The machine that `option` names a file of: `describe` makes it of its kind and its fields.

    Raises EsnsimError.
    """
    tables = _tables(path, option)
    found = list(tables.items()) if isinstance(tables, dict) else []
    if len(found) != 1 or found[0][0] not in kinds or not isinstance(found[0][1], dict):
        names = ", ".join(repr(name) for name, _ in found) or "no tables"
        raise EsnsimError(f"'{path}' has {names}: give one table, {' or '.join(kinds)}")
    [(kind, values)] = found
    try:
        return describe(kind, dict(values))
    except UsageError as error:
        raise EsnsimError(f"'{path}', {kind}: {error}") from None


class StrictLoader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without aliases, which unfold without bound, and without a key that stands twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> Any:
        """A node; an alias is refused."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias (*): write the value itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"'{twice!s:.40}' stands there twice: leave one")
        return dict(super().construct_mapping(node, deep))


def _tables(path: Path, option: str) -> object:
    """What the TOML or YAML file holds that an option names. Raises EsnsimError."""
    try:
        text = read_small(path, LONGEST_BYTES)
    except OSError as error:
        raise EsnsimError(f"cannot read '{path}': {error.strerror}; check {option}") from None
    except ValueError as error:
        raise EsnsimError(f"'{path}': {error}; give a description of a machine") from None
    toml = path.suffix.lower() == ".toml"
    try:
        found = tomllib.loads(text.decode()) if toml else yaml.load(text, StrictLoader)
        _check_integers(found)
        return found
    except (tomllib.TOMLDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise EsnsimError(f"'{path}' is no {'TOML' if toml else 'YAML'} file: {reason}") from None


def _check_integers(found: object) -> None:
    """Raise ValueError for an integer that no message could print: hexadecimal ones have no end."""
    if isinstance(found, int) and found.bit_length() > 64:
        raise ValueError(f"an integer of {found.bit_length():,} bits stands in it")
    if isinstance(found, dict | list):
        for each in (*found, *found.values()) if isinstance(found, dict) else found:
            _check_integers(each)
