"""The command line in a process of its own, forked from one that has loaded numpy and onnx."""

import multiprocessing
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.commandline import Ended

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["esnsim.cli", "esnsim.commands.cost", "esnsim.importer"])


def esnsim(*words: Any, memory: int) -> Ended:
    """Run a command line that may take so many bytes of address space."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("out", "err")]
        given = ([str(word) for word in words], [str(file) for file in files], memory)
        process = SERVER.Process(target=_run, args=given)
        process.start()
        process.join()
        out, err = (file.read_text("utf-8") for file in files)
        return Ended(process.exitcode or 0, out, err)


def _run(words: list[str], files: list[str], memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    from esnsim.cli import main

    sys.exit(main(words))
