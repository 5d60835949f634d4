"""Errors that quote files and messages from outside, in one line that a log can show."""

from __future__ import annotations

import re

_HEAD, _TAIL = 500, 250  # characters that are kept of a long text


class OneLineError(ValueError):
    """An error whose message is one printable line of at most some 750 characters.

    What it quotes may come from anyone. So no quoted text can begin a line of its own in a log,
    send codes to a terminal, or fill a disk.
    """

    def __init__(self, text: str = ''):
        """Take the message, and replace in it what a log cannot show."""
        super().__init__(in_one_line(text))


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and its text, which may have several lines."""
    return f'{type(error).__name__}: {error}'


def in_one_line(text: str) -> str:
    """Return a text without line breaks, control characters and excessive length.

    Args:
        text: Any text. Other characters that cannot be printed become escapes, such as ``\\x1b``.
    """
    if len(text) > _HEAD + _TAIL:
        text = f'{text[:_HEAD]} ... {text[-_TAIL:]}'
    escaped = printable(text)
    return escaped if len(escaped) <= _HEAD + _TAIL + 5 else in_one_line(escaped)


def printable(text: str) -> str:
    """Return a text of any length in one line, with escapes for what cannot be printed.

    White space of ASCII becomes one blank. Names of files may have others, which stay visible.
    """
    if text.isprintable():
        return text
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode()
                   for c in ' '.join(re.split(r'[ \t\r\n\f\v]+', text)).strip())
