"""What is published says one version, and holds its licences."""

import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

import esnsim

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = SETTINGS["project"]
HOOK = SETTINGS["tool"]["hatch"]["metadata"]["hooks"]["custom"]
PUBLIC = HOOK | {"repository": "https://forge.example/us/esnsim", "version": "1.2.3"}


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


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build's own file, which a build alone gives hatchling."""
    interface = SimpleNamespace(MetadataHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_address_in_one_place_makes_all_links_of_the_index_work(build: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    text = build.for_index(readme, PUBLIC)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == len(re.findall(r"\]\(([^)]+)\)", readme)) > 20
    start = re.compile(r"https://forge\.example/us/esnsim/(?:blob|raw)/v1\.2\.3/([^#]+)")
    for link in [*links, *build.urls(PUBLIC).values()]:
        path = start.match(link)
        assert path is None or (ROOT / path[1]).exists(), link
        assert link.startswith("https://")
    assert sum("/raw/" in link for link in links) == readme.count("![")


def test_without_an_address_the_index_has_words_and_no_broken_link(build: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    text = build.for_index(readme, PUBLIC | {"repository": ""})
    assert not re.findall(r"\]\((?!https:)", text)
    assert "![" not in text
    assert "from PyTorch to a small file" in text
    assert build.urls(PUBLIC | {"repository": ""}) == {}


def test_the_build_fills_them_in(build: ModuleType) -> None:
    """What hatchling calls, on this repository as it stands."""
    hook = build.AddressHook()
    hook.root, hook.config = str(ROOT), HOOK
    metadata = {"version": PROJECT["version"]}
    hook.update(metadata)
    assert {*metadata} == {"version", *PROJECT["dynamic"]}
    assert metadata["readme"]["text"].startswith("# esnsim")
