"""Damaged models end in a report or in one line of error, in bounded memory."""

from collections import Counter

import pytest

from tests.forked import forked
from tests.mutations import DAMAGES, MODELS, damaged, run

EACH = 120  # damaged models of each sample
MEMORY = 3 << 30  # bytes of address space


@pytest.mark.parametrize("name", MODELS)
def test_damaged_models_end_in_a_report_or_in_one_line_of_error(name: str) -> None:
    ended = forked(run, name, 0, EACH, memory=MEMORY)
    assert ended.code == 0, ended.out[-2000:] + ended.err[-2000:]  # the last line names it


def test_damages_are_many_and_of_every_kind() -> None:
    assert len(MODELS) * EACH > 1500
    for name in MODELS:
        models = {damaged(name, number)[1] for number in range(EACH)}
        assert len(models) > EACH * 0.9
    kinds = Counter(damaged("large", number)[0] for number in range(EACH))
    assert set(kinds) == {damage.__name__ for damage in DAMAGES}
