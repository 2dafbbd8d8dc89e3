"""The page of each kind of result."""

from importlib import import_module

from esnsim.page.page import Page

#: By the name of the result's class: the file of this folder whose `page` builds its page.
PAGES = {
    "Cost": "cost",
    "Simulation": "simulation",
    "Beside": "beside",
    "Comparison": "machines",
    "Compared": "comparison",
    "Compressed": "compression",
    "Sweep": "sweep",
}


def page_of(result: object) -> Page:
    """What a page shows of a result."""
    page: Page = import_module(f"esnsim.page.{PAGES[type(result).__name__]}").page(result)
    return page
