"""Entry point of ``digitcli`` and of ``python -m digitcli``."""

import sys


def main() -> None:
    """Runs the command line; an interrupt during its import exits without a traceback."""
    try:
        from digitcli.cli.app import app
    except KeyboardInterrupt:
        sys.exit(128 + 2)
    app(prog_name="digitcli")


if __name__ == "__main__":
    main()
