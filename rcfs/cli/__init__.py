"""The command line: commands, configuration, output. The only room that prints or reads the environment."""

from rcfs.cli._main import main as main
