"""A machine from a TOML or YAML file: one table, the kind, of its description's fields."""

import tomllib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from esnsim.errors import EsnsimError, UsageError, find_known
from esnsim.files.read import read_small

FILES = (".toml", ".yaml", ".yml")
LONGEST_BYTES = 1 << 16
MEMORY, PRICES = "memory", "prices"
#: What a file about accelerators by name may have, a table each.
TABLES = ("lanes", "systolic", "cartesian", "crossbar", MEMORY, PRICES)
PLAIN = ("preset", "source", "assumed")  # fields of any table, which have no unit
T = TypeVar("T")


def is_file(text: str) -> bool:
    """Whether a text that names a machine is the path of a file."""
    return text.lower().endswith(FILES)


def read_machine(
    path: Path, option: str, kinds: Collection[str], describe: Callable[[str, dict[str, Any]], T],
    beside: Collection[str] = (),
) -> T:  # fmt: skip
    """The machine that `option` names a file of: `describe` makes it of its kind and its fields.

    Tables of `beside` are what other options read. Raises EsnsimError.
    """
    tables = _tables(path, option)
    named = tables if isinstance(tables, dict) else {}
    found = [(name, values) for name, values in named.items() if name in kinds]
    strange = named.keys() - {*kinds, *beside}
    if len(found) != 1 or strange or not isinstance(found[0][1], dict):
        names = ", ".join(map(repr, named)) or "no tables"
        raise EsnsimError(f"'{path}' has {names}: give one table, {' or '.join(kinds)}")
    [(kind, values)] = found
    try:
        return describe(kind, dict(values))
    except UsageError as error:
        raise EsnsimError(f"'{path}', {kind}: {error}") from None


def named_or_read(
    name: str, what: str, known: Mapping[str, T], option: str, table: str,
    describe: Callable[[str, dict[str, Any]], T],
) -> T:  # fmt: skip
    """What has a name, or a file of one table describes. Raises UsageError, EsnsimError."""
    if is_file(name):
        return read_machine(Path(name), option, (table,), describe, TABLES)
    return find_known(what, name, known, otherwise=f", or a file of [{table}]")


def has_table(path: Path, option: str, name: str) -> bool:
    """Whether a file has a table of a name. Raises EsnsimError."""
    tables = _tables(path, option)
    return isinstance(tables, dict) and name in tables


def nearest(name: str, known: Collection[str]) -> str:
    """What to give in place of a name that there is not."""
    near = get_close_matches(name.lower(), known, 1)
    return f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(known)}"


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
