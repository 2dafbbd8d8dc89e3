"""Damaged models end in a report or in one line of error, in bounded memory."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.mutations import DAMAGES, MODELS, damaged

EACH = 150  # damaged models of each sample


@pytest.mark.parametrize("name", MODELS)
def test_damaged_models_end_in_a_report_or_in_one_line_of_error(name: str) -> None:
    words = [sys.executable, "-m", "tests.mutations", name, "0", str(EACH)]
    child = subprocess.run(words, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-2000:]  # the last line names the damage
    assert json.loads(child.stdout) == {}


def test_damages_are_many_and_of_every_kind() -> None:
    assert len(MODELS) * EACH > 1500
    for name in MODELS:
        models = {damaged(name, number)[1] for number in range(EACH)}
        assert len(models) > EACH * 0.9
    kinds = Counter(damaged("large", number)[0] for number in range(EACH))
    assert set(kinds) == {damage.__name__ for damage in DAMAGES}
