"""`python -m esnsim`: the command line."""

from esnsim.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
