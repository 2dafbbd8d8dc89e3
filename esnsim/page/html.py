"""A page as one HTML file without outside links: style, script, pictures and JSON are inside."""

import gzip
import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

import esnsim
from esnsim.errors import EsnsimError
from esnsim.page.pages import page_of
from esnsim.page.picture import svg
from esnsim.report.kinds import report_of


def html(result: object) -> str:
    """The page of a result. Raises EsnsimError where Jinja2 or matplotlib is absent.

    Names of layers come from strangers: Jinja2 escapes them, and the page's policy lets no script
    run but ours.
    """
    template = _environment().from_string(_part("page.html"))
    page, document = page_of(result), report_of(result).document(result)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    script = _part("page.js")
    made: str = template.render(
        page=page,
        pictures=[(each, svg(each, place)) for place, each in enumerate(page.pictures)],
        style=_part("page.css"),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        json=b64encode(gzip.compress(text.encode("utf-8", "backslashreplace"), mtime=0)).decode(),
        schema=(document[0] if isinstance(document, list) else document)["schema"],
        version=esnsim.__version__,
    )
    return made


def _environment() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise EsnsimError("pages need Jinja2: pip install 'esnsim[report]'") from None
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _part(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")
