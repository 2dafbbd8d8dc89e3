"""`python -m esnsim`, and the command `esnsim`."""

import sys


def main() -> int:
    """Run the command line; an interrupt while it is still loading is one line too."""
    try:
        from esnsim.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("esnsim: error: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
