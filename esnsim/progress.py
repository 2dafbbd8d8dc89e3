"""The progress of long work, for whoever listens: a command's progress on the screen, or nobody.

It comes from deep inside (a batch of images, a probed layer), and what computes there depends on
nothing of it, so the listener is of the context and no parameter of every function between.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]

LOG = logging.getLogger(__name__)
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def show_progress(text: str) -> None:
    """Say what is done of the work under way, such as '640 of 1,000 images'."""
    LOG.debug("%s", text)
    listener = _LISTENER.get()
    if listener is not None:
        listener(text)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Receive the progress of this thread; that of other processes and threads goes nowhere."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
