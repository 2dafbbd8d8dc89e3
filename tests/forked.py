"""Work in a process of its own, forked from one that has loaded numpy and onnx."""

import multiprocessing
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from esnsim.cli import main
from tests.commandline import Ended

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["esnsim.commands.cost", "esnsim.importer", "tests.mutations"])


def esnsim(*words: Any, memory: int) -> Ended:
    """Run a command line that may take so many bytes of address space."""
    return forked(main, [str(word) for word in words], memory=memory)


def forked(work: Callable[..., Any], *given: Any, memory: int) -> Ended:
    """Run a function in a process that may take so many bytes; it exits with what comes back."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("out", "err")]
        process = SERVER.Process(target=_run, args=(work, given, [*map(str, files)], memory))
        process.start()
        process.join()
        out, err = (file.read_text("utf-8") for file in files)
        return Ended(process.exitcode or 0, out, err)


def _run(work: Callable[..., Any], given: Any, files: list[str], memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    sys.exit(work(*given))
