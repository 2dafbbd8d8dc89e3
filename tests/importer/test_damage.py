"""The border between a damaged file and the errors that it makes others raise."""

import pytest

from esnsim import ModelError
from esnsim.onnxfile.damage import reading


@pytest.mark.parametrize("error", [IndexError("out of range"), RuntimeError("C++"), KeyError("w")])
def test_what_a_damaged_part_raises_becomes_one_error_that_says_where(error: Exception) -> None:
    with (
        pytest.raises(ModelError, match=r"operator Conv .c. is damaged") as caught,
        reading("operator Conv 'c'"),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert type(error).__name__ in str(caught.value)


@pytest.mark.parametrize(
    "error", [ModelError("said"), MemoryError(), NameError("typo"), KeyboardInterrupt()]
)
def test_errors_that_are_said_already_and_our_own_mistakes_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, reading("operator Conv 'c'"):
        raise error
    assert caught.value is error
