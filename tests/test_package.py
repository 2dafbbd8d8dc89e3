"""What is published says one version, and holds its licences."""

import re
import tomllib
from pathlib import Path

import yaml

import esnsim

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_all_say_the_same_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    versions = re.findall(r"^## (.*)$", changes, re.MULTILINE)
    assert esnsim.__version__ == PROJECT["version"] == citation["version"] == versions[0]
    assert versions == sorted(versions, reverse=True)


def test_licences_are_files() -> None:
    for name in PROJECT["license-files"]:
        assert "permission notice shall be included" in " ".join(
            (ROOT / name).read_text("utf-8").split()
        )
