"""Where the program starts, as ``digitcli`` and as ``python -m digitcli``."""

import sys


def main() -> None:
    """Runs the command line; an interruption while it is still being imported ends it quietly."""
    try:
        from digitcli.cli.app import app
    except KeyboardInterrupt:
        sys.exit(128 + 2)
    app(prog_name="digitcli")


if __name__ == "__main__":
    main()
