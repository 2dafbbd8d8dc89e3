"""What a package index is told: the addresses of the repository, and a README whose links work.

The address stands in pyproject.toml alone. Where it is empty, links to files are text.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)]+)\)")  # to a file, perhaps of a picture
PAGES = {
    "Documentation": "docs/tutorials/pytorch.md",
    "Changelog": "CHANGELOG.md",
}


class AddressHook(MetadataHookInterface):
    """Fills in the README and the URLs of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See hatchling's metadata hooks."""
        readme = (Path(self.root) / "README.md").read_text("utf-8")
        config = self.config | {"version": metadata["version"]}
        text = for_index(readme, config)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = urls(config)


def for_index(readme: str, config: dict[str, Any]) -> str:
    """The README with links to files as addresses, or without them where there is no address."""

    def absolute(link: re.Match[str]) -> str:
        picture, text, path = link.groups()
        if not config["repository"]:
            return "" if picture else text
        return f"{picture}[{text}]({address(config, 'pictures' if picture else 'files', path)})"

    return LINK.sub(absolute, readme)


def urls(config: dict[str, Any]) -> dict[str, str]:
    """The addresses that the package names, none without a repository."""
    if not config["repository"]:
        return {}
    pages = {name: address(config, "files", path) for name, path in PAGES.items()}
    return {"Repository": config["repository"], "Issues": f"{config['repository']}/issues"} | pages


def address(config: dict[str, Any], kind: str, path: str) -> str:
    """Where a file of this version is: `kind` is files, for reading, or pictures."""
    return str(config["repository"] + config[kind].format(version=config["version"]) + path)
