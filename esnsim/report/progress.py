"""How far long work is, on standard error: a bar on a terminal, else a line now and then."""

import logging
import sys
import time
from types import TracebackType

from esnsim.report.write import say

LOG = logging.getLogger(__name__)
DELAY = 1.0  # seconds before anything is shown
BETWEEN = 30.0  # seconds between lines where standard error is no terminal


class Meter:
    """Counts steps as they start and shows the bar, the step and the time left, or a line.

    Used as a context manager; the bar goes away at the end.
    """

    def __init__(
        self, total: int, quiet: bool = False, verb: str = "", unit: str = "", per: int = 1
    ) -> None:
        """`per` steps are one of the `total`, which the rate that is shown is of, by its `unit`."""
        self.total, self._verb, self._unit, self._per = total * per, verb, unit, per
        self._silent = quiet or sys.stderr is None
        self._piped = not self._silent and not sys.stderr.isatty()
        self._started, self._count = time.monotonic(), 0
        self._told = self._started
        self._step, self._done = "", 0  # the step under way, and what was done before it
        self._bar: object = None

    def advance(self, step: str = "", count: int = 1) -> None:
        """A step begins; `count` is what it adds when it ends."""
        LOG.info("%s", f"{self._verb} {step}".strip())
        self._step, self._done = step, self._count
        self.within("")
        self._count += count

    def finish(self, step: str = "") -> None:
        """A step ended."""
        self._count += 1
        self.advance(step, 0)

    def within(self, detail: str) -> None:
        """How far the step is that is under way."""
        now, step = time.monotonic(), ", ".join(filter(None, (self._step, detail)))
        if self._piped and now - self._told > BETWEEN:
            self._told = now
            say(f"{f'{self._verb} {step}'.strip()}: {self._done:,} of {self.total:,} done")
        elif not (self._silent or self._piped) and now - self._started > DELAY:
            self._show(step)

    def __enter__(self) -> "Meter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]

    def _show(self, step: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (
                TextColumn("{task.description}"), BarColumn(),
                TextColumn("{task.percentage:.0f}%  {task.fields[rate]}"),
                TimeRemainingColumn(),
            )  # fmt: skip
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
            bar.add_task(self._verb, total=self.total, rate="")
            bar.start()
            self._bar = bar
        pace = self._done / self._per / (time.monotonic() - self._started)
        rate = f"{pace:.1f} {self._unit}/s" if self._unit else f"{pace:.1f}/s"
        text = f"{self._verb} {step}".strip()
        bar = self._bar  # type: ignore[assignment]
        bar.update(
            bar.task_ids[0], completed=self._done, total=self.total, description=text, rate=rate
        )
