"""Errors that a user can mend: each message is one line and says what to do."""

import re
from collections.abc import Collection, Mapping
from typing import TypeVar

LONGEST_NAME = 400  # characters in quotes; names come from files that anybody may have written
T = TypeVar("T")
_TOO_LONG = re.compile(rf"'([^']{{{LONGEST_NAME},}})'")


def brief(message: str) -> str:
    """A message in which very long names keep their two ends."""
    half = LONGEST_NAME // 4
    return _TOO_LONG.sub(lambda name: f"'{name[1][:half]}…{name[1][-half:]}'", message)


class EsnsimError(Exception):
    """Bad input. The message says what was got, what is needed and what to do."""

    def __str__(self) -> str:
        return brief(super().__str__())


class ModelError(EsnsimError):
    """A model file that cannot be read, or that declares what it does not hold."""


class MisfitError(ModelError):
    """Shapes that do not fit: the model is damaged, or its inputs have other shapes."""


class WidthError(EsnsimError):
    """Bit widths or steps that do not fit the model."""


class UsageError(EsnsimError):
    """Options that contradict each other."""


def check_known(
    what: str, name: object, known: Collection[str], error: type[EsnsimError] = UsageError,
    otherwise: str = "",
) -> None:  # fmt: skip
    """Raise an error unless a name is one of those that there are."""
    if name not in list(known):  # which may not be hashable, read from a file
        raise error(f"no {what} {name!r}: use one of {', '.join(known)}{otherwise}")


def find_known(what: str, name: str, known: Mapping[str, T], otherwise: str = "") -> T:
    """The entry of that name. Raises a UsageError that lists the names there are."""
    check_known(what, name, known, otherwise=otherwise)
    return known[name]
