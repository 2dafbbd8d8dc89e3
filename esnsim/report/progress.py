"""A progress bar on standard error for work that takes longer than a second."""

import sys
import time
from types import TracebackType

DELAY = 1.0  # seconds before anything is shown


class Meter:
    """Counts steps as they start and shows, on a terminal, the bar, the step and the time left.

    Used as a context manager; the bar goes away at the end.
    """

    def __init__(self, total: int, quiet: bool = False, verb: str = "") -> None:
        self._total, self._verb = total, verb
        self._silent = quiet or sys.stderr is None or not sys.stderr.isatty()
        self._started, self._count = time.monotonic(), 0
        self._bar: object = None

    def advance(self, step: str = "", count: int = 1) -> None:
        """A step begins; `count` is what it adds when it ends."""
        if not self._silent and time.monotonic() - self._started > DELAY:
            self._show(step)
        self._count += count

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
                TextColumn("{task.percentage:.0f}%  {task.fields[rate]:.1f}/s"),
                TimeRemainingColumn(),
            )  # fmt: skip
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
            bar.add_task(self._verb, total=self._total, rate=0.0)
            bar.start()
            self._bar = bar
        rate = self._count / (time.monotonic() - self._started)
        text = f"{self._verb} {step}".strip()
        bar = self._bar  # type: ignore[assignment]
        bar.update(bar.task_ids[0], completed=self._count, description=text, rate=rate)
