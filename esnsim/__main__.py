"""`python -m esnsim`, and the command `esnsim`: an interrupt at any moment is one line."""

import _thread
import gc
import os
import signal
import sys
from types import FrameType

YOUNG = 200_000  # objects between two looks for cycles, of which loading modules makes none
INTERRUPTED = 130  # 128 + the signal, as shells report it


def main() -> int:
    """Run the command line."""
    asked = watch_interrupts()
    gc.set_threshold(YOUNG)
    # BLAS spins while it waits, on cores that other threads need: those of esnsim share the work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from esnsim.cli import main as run

        return run()
    except BaseException as error:
        if not (asked or isinstance(error, KeyboardInterrupt)):
            raise
        print("esnsim: error: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:  # all is written or taken back: there is nothing left to stop
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()  # Python looks for cycles again as it ends, among all objects of all modules


def watch_interrupts() -> list[int]:
    """A list that is empty until the user interrupts.

    Libraries that are loading turn KeyboardInterrupt into errors of their own, which the list tells
    from others, and Python drops one that is raised in a callback, where it is raised again.
    """
    asked: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell ignores it
        signal.signal(signal.SIGINT, stop)
        sys.unraisablehook = _raise_again
    return asked


def _raise_again(dropped: "sys.UnraisableHookArgs") -> None:
    """An interrupt that was dropped comes again a little later, out of the callback."""
    if dropped.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(dropped)
        return
    from threading import Timer

    again = Timer(0.1, _thread.interrupt_main)  # not while this hook is still running
    again.daemon = True
    again.start()


if __name__ == "__main__":
    raise SystemExit(main())
