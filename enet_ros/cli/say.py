"""What commands print: file names, topics and messages in it may come from anyone."""

from __future__ import annotations

import sys

from enet_ros.common.one_line_error import printable


def say(*lines: str, to_stdout: bool = False) -> None:
    """Print lines to the standard error at once, with escapes for what cannot be printed.

    So no quoted name can begin a line of its own, or send codes to the terminal.

    Args:
        lines: Each is printed as one line.
        to_stdout: Whether they are the result of the command, for the standard output.
    """
    print('\n'.join(map(_one_line, lines)), file=sys.stdout if to_stdout else sys.stderr,
          flush=True)


def say_error(command: str, text: str) -> None:
    """Print an error of a command. Further lines of the text are indented."""
    first, *others = text.split('\n')
    say(f'enet-ros {command}: {first}', *(f'  {line.strip()}' for line in others))


def _one_line(text: str) -> str:
    """Return one printable line, whose spaces stay, since they align columns."""
    return ' '.join(map(printable, text.split(' ')))
