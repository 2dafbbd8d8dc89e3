"""-v and --log-file: what a run does, by standard logging, and nothing left behind."""

import logging
from pathlib import Path

from tests.commandline import esnsim, refused


def test_a_file_has_what_is_done_and_said_and_is_appended_to(tmp_path: Path, tiny: Path) -> None:
    log = tmp_path / "run.log"
    plain = esnsim("cost", tiny)
    logged = esnsim("cost", tiny, "--log-file", log)
    assert logged == plain
    text = log.read_text("utf-8")
    assert "INFO esnsim.cli: esnsim 0." in text
    assert "quantising first" in text
    assert "exit code 0 after" in text
    esnsim("cost", tiny, "--log-file", log)
    assert log.read_text("utf-8").startswith(text)
    assert not logging.getLogger("esnsim").handlers


def test_v_says_what_is_done_on_standard_error(tiny: Path) -> None:
    quiet, verbose = esnsim("cost", tiny, "-q"), esnsim("cost", tiny, "-q", "-v")
    assert (quiet.err, verbose.out) == ("", quiet.out)
    assert "esnsim.report.progress: quantising first" in verbose.err
    assert "read '" in verbose.err
    said = esnsim("cost", "no.onnx", "-v").err
    assert said.count("esnsim: error: there is no file") == 1
    assert "Traceback" not in said


def test_a_file_says_where_an_error_comes_from(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    refused(esnsim("cost", "no.onnx", "--log-file", log), "there is no file 'no.onnx'")
    text = log.read_text("utf-8")
    assert "Traceback" in text
    assert "ModelError: there is no file 'no.onnx'" in text


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path, tiny: Path) -> None:
    refused(esnsim("cost", tiny, "--log-file", tmp_path / "no" / "x.log"), "cannot write")
    refused(esnsim("cost", tiny, "--log-file", tiny), "would overwrite", code=2)
