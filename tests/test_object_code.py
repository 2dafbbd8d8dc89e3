"""Object code of the passes: kept once, refused where it is damaged or of another source."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from esnsim_kernels import exported

from esnsim.quantization import object_code
from esnsim.quantization import weight_kernels as passes


@pytest.fixture(scope="module")
def code() -> bytes:
    return bytes(exported.object_code())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: bytes) -> Iterator[Path]:
    """An empty cache; compiling takes no time."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(exported, "object_code", lambda: code)
    object_code.load.cache_clear()
    yield tmp_path
    object_code.load.cache_clear()


def test_it_needs_nothing_but_memset(code: bytes) -> None:
    """Neither Numba's runtime nor Python's: whoever loads it has neither."""
    assert b"memset" in code
    assert not any(name in code for name in (b"NRT_", b"numba_", b"PyErr", b"Py_DecRef"))


def test_what_is_kept_is_loaded_and_not_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert object_code.load() is None
    object_code.keep()
    assert object_code.load() is not None
    monkeypatch.setattr(exported, "object_code", lambda: pytest.fail("made again"))
    object_code.keep()
    assert len([*folder.iterdir()]) == 1


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:90] + b"?" + b[91:], bytes])
def test_damaged_code_is_not_run_but_made_again(folder: Path, change: object) -> None:
    object_code.keep()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(b"" if change is bytes else change(whole))  # type: ignore[operator]
    object_code.load.cache_clear()
    assert object_code.load() is None
    object_code.keep()
    assert path.read_bytes() == whole


def test_another_source_or_processor_has_another_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_code.keep()
    for name, value in (("_source", lambda: "0" * 8), ("_name", lambda: "esnsim-0-0.o")):
        with monkeypatch.context() as patch:
            patch.setattr(object_code, name, value)
            object_code.load.cache_clear()
            assert object_code.load() is None


def test_a_folder_that_is_not_there_or_not_writable_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "object_code", lambda: pytest.fail("made for nothing"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    object_code.keep()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "none"))
    object_code.keep()
    assert object_code.load() is None


def test_without_a_target_of_llvm_nothing_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with NUMBA_DISABLE_JIT=1, where kernels run as Python."""

    def none() -> bytes:
        raise RuntimeError("no targets are registered")

    monkeypatch.setattr(exported, "object_code", none)
    object_code.keep()
    assert not [*folder.iterdir()]
    assert object_code.load() is None


def test_kernels_that_are_no_files_keep_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a zip: the name of the file could not tell their source."""
    monkeypatch.setattr(object_code, "_kernels", lambda: None)
    object_code.keep()
    assert object_code.load() is None
    assert not [*folder.iterdir()]


def test_working_memory_is_as_large_as_the_kernels_take() -> None:
    assert object_code.FLOATS == exported.midrise.FLOATS
    assert object_code.CODES == exported.midrise.CHUNK


@pytest.mark.parametrize(("weights", "there", "loaded"), [
    (passes.LINKS, True, ""), (passes.LINKS + 1, True, "code"), (passes.LINKS + 1, False, ""),
    (passes.PAYS + 1, True, "code"), (passes.PAYS + 1, False, "numba"),
])  # fmt: skip
def test_a_pass_loads_the_cheapest_kernels_that_pay(
    monkeypatch: pytest.MonkeyPatch, weights: int, there: bool, loaded: str
) -> None:
    said: list[str] = []
    found = object_code.Passes({}, None)

    def load() -> object_code.Passes | None:
        return (said.append("code") or found) if there else None

    monkeypatch.setattr(object_code, "load", load)
    monkeypatch.setattr(passes, "midrise", lambda: said.append("numba"))
    passes.load_fused(weights)
    assert "".join(said) == loaded
