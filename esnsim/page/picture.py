"""Pictures of a result with matplotlib: as SVG for pages, as files, as a figure for Python."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from esnsim.errors import EsnsimError
from esnsim.page.draw import COLOURS, TIP
from esnsim.page.page import Picture
from esnsim.page.pages import page_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (5.5, 3.4)  # inches of one picture, whose text can be read on a telephone
DOTS = 110  # per inch
INK = "#000000"
LOOK: dict[Any, Any] = {
    "svg.fonttype": "none", "text.parse_math": False, "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 9,
    "xtick.labelsize": 9, "ytick.labelsize": 9,
}  # fmt: skip


def plotted(result: object) -> "Figure":
    """The pictures of a result side by side, as a figure of pyplot."""
    with _matplotlib():
        from matplotlib import pyplot

        return _drawn(pyplot.figure, page_of(result).pictures)


def picture_file(result: object, suffix: str) -> bytes:
    """The pictures of a result as the bytes of a .png, .svg or .pdf."""
    with _matplotlib() as matplotlib:
        out = io.BytesIO()
        figure = _drawn(matplotlib.figure.Figure, page_of(result).pictures)
        figure.savefig(out, format=suffix.removeprefix("."), dpi=DOTS)
        return out.getvalue()


def svg(picture: Picture, place: int) -> str:
    """A picture as SVG to stand in a page, as its `place`-th: text is text, colours are the
    page's.
    """
    with _matplotlib() as matplotlib, matplotlib.rc_context({"svg.hashsalt": f"picture {place}"}):
        width, height = SIZE
        size = (width, height * picture.tall)
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        picture.draw(figure.subplots())
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _inline(out.getvalue(), picture)


def _inline(text: str, picture: Picture) -> str:
    text = text[text.index("<svg") :]
    for number, colour in enumerate(COLOURS):
        text = text.replace(colour, f"var(--series-{number})")
    text = text.replace(INK, "currentColor")
    text = re.sub(f"id=([\"']){TIP}", r"data-tip=\1", text)  # quoted either way: names hold quotes
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _drawn(new: Any, pictures: Sequence[Picture]) -> "Figure":
    width, height = SIZE
    height *= max(picture.tall for picture in pictures)
    figure: Figure = new(figsize=(width * len(pictures), height), layout="constrained")
    places = figure.subfigures(1, len(pictures), squeeze=False)[0]
    for part, picture in zip(places, pictures, strict=True):
        picture.draw(part.subplots())
        part.suptitle(picture.title, fontsize=10)  # above the legend, which is above the axes
    return figure


@contextmanager
def _matplotlib() -> Iterator[Any]:
    """matplotlib with the look of our pictures. Raises EsnsimError where it is absent."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise EsnsimError("pictures need matplotlib: pip install 'esnsim[report]'") from None
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # names in any script: the reader's fonts show
        yield matplotlib
