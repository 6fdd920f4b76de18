"""Lets ``python -m digitcli`` run the command line."""

from digitcli.cli.app import main

if __name__ == "__main__":
    main()
