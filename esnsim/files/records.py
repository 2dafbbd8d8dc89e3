"""Records of JSON read back as dataclasses, every field by its type."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_hints = cache(get_type_hints)


def from_record(kind: Any, value: Any) -> Any:
    """A value of that type: a dataclass, `X | None`, a literal, a tuple, a mapping or a number.

    Fields with a default may be missing. Raises KeyError, TypeError, ValueError or OverflowError
    for what is none.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else from_record(parts[0], value)
    if origin is Literal:
        return parts[parts.index(value)]
    if origin is tuple:
        parts = parts[:1] * len(value) if parts[-1] is ... else parts
        return tuple(from_record(part, v) for part, v in zip(parts, value, strict=True))
    if origin is Mapping:
        key, each = parts
        return {from_record(key, k): from_record(each, v) for k, v in dict(value).items()}
    if is_dataclass(kind):
        names = (f.name for f in fields(kind) if f.default is MISSING or f.name in value)
        return kind(**{name: from_record(_hints(kind)[name], value[name]) for name in names})  # type: ignore[operator, arg-type]
    return kind(value)
