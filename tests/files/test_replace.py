"""A file is whole, or what it was; nobody else's file is touched on the way."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from esnsim.errors import EsnsimError
from esnsim.files.replace import replacing
from esnsim.report.write import write, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_disk_that_fills_up_is_an_error_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "out"
    path.write_text("old")
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(EsnsimError, match=r"cannot write '.*': No space left on device; give"):
        write("new", path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_data_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(file: int) -> None:
        done.append("sync")
        fsync(file)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_bytes(b"new", tmp_path / "out")
    assert done == ["sync", "rename", "sync"]


def test_mode_of_the_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for mode in (0o600, 0o664, 0o640):
        path.write_bytes(b"old")
        path.chmod(mode)
        write_bytes(b"new", path)
        assert path.stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_of_the_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    os.chown(path, 1234, 4321)
    write_bytes(b"new", path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321)


def test_what_killed_runs_left_is_in_nobodys_way_and_stays(tmp_path: Path) -> None:
    """In a container every run has the same number: its name is no part of the file's."""
    left = [tmp_path / f".esnsim.{n}" for n in (os.getpid(), 1, "part")]
    for path in left:
        path.write_bytes(b"another's")
    write_bytes(b"new", tmp_path / "out")
    assert all(path.read_bytes() == b"another's" for path in left)
    assert len(names(tmp_path)) == 4


def test_two_writers_of_one_file_leave_one_of_the_two_wholes(tmp_path: Path) -> None:
    path, size = tmp_path / "out", 1 << 18

    def writer(letter: bytes) -> None:
        for _ in range(10):
            write_bytes(letter * size, path)

    threads = [threading.Thread(target=writer, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in (b"a" * size, b"b" * size)
    assert names(tmp_path) == ["out"]


def test_a_run_killed_while_it_writes_blocks_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from esnsim.files.replace import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_bytes(b"new", path)
    assert path.read_bytes() == b"new"


def test_a_log_behind_a_device_keeps_what_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"old\n")
    with log.open("ab") as file:
        write_bytes(b"new\n", Path(f"/dev/fd/{file.fileno()}"))
    assert log.read_bytes() == b"old\nnew\n"
