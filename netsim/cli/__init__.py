"""The command line: what it takes, what it does, what it prints."""

from netsim.cli.commands import main

__all__ = ["main"]
