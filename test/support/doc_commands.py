"""The commands that the documents show, line by line, as a shell reads them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_RUN = re.compile(r'#\s*not run here:\s*(?P<reason>\S.*)$')
BLOCK = re.compile(r'^```(?:sh|bash)\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
#: A transcript: a block without a language, whose lines after `$ ` are commands.
TRANSCRIPT = re.compile(r'^```\n(?P<text>(?:#[^\n]*\n)?\$ .*?)^```$', re.MULTILINE | re.DOTALL)
INLINE = re.compile(r'`((?:enet-ros|make|ros2 launch|ros2 run|scripts/setup\.sh) [^`\n]+)`')
SEPARATORS = {'&&', ';', '&', '||', '|'}
SUBSTITUTION = re.compile(r'\$\([^()]*\)')
ASSIGNMENT = re.compile(r'^\w+=')


@dataclass(frozen=True)
class Command:
    """One command of a document.

    Attributes:
        page: Path of the document in the repository.
        line: Number of its first line.
        text: The line as it stands, with the lines that go on.
        words: Words of the command, without comments, assignments and redirections.
        reason: Why it is not run here, or an empty text.
    """

    page: str
    line: int
    text: str
    words: tuple[str, ...]
    reason: str

    @property
    def place(self) -> str:
        """Where it stands, and what it says."""
        return f'{self.page}:{self.line}: {self.text.splitlines()[0]}'

    @property
    def form(self) -> str:
        """The normal form: program, and what it is to do."""
        words = self.words
        first = words[0]
        if first == 'ros2':
            return ' '.join(words[:4] if words[1] in ('run', 'launch') else words[:3])
        if first in ('enet-ros', 'make', '.', 'scripts/setup.sh'):
            return ' '.join(words[:2])
        if first == 'python3':
            return f'python3 {words[1].rpartition("/")[2]}'
        return first


def documents() -> list[Path]:
    """Return the pages whose commands are held to be true."""
    pages = [page for page in sorted((REPOSITORY / 'docs').rglob('*.md'))
             if 'decisions' not in page.parts and page.name != 'experiments.md']
    return [REPOSITORY / 'README.md', *pages]


def commands_of(page: Path) -> list[Command]:
    """Return the commands of every shell block and transcript of a page."""
    text = page.read_text()
    is_ours = page.is_relative_to(REPOSITORY)
    name = page.relative_to(REPOSITORY).as_posix() if is_ours else page.name
    found = []
    for pattern in (BLOCK, TRANSCRIPT):
        for match in pattern.finditer(text):
            start = text.count('\n', 0, match.start('text')) + 1
            found += _of_block(name, start, match['text'], transcript=pattern is TRANSCRIPT)
    return found


def inline_commands_of(page: Path) -> list[str]:
    """Return the commands between backquotes in the prose of a page."""
    prose = re.sub(r'^```.*?^```$', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return INLINE.findall(prose)


def _of_block(page: str, start: int, text: str, *, transcript: bool) -> list[Command]:
    commands, head = [], ''
    for number, line in _logical_lines(start, text):
        if transcript and not line.startswith(('$ ', '#')):
            continue
        line = line.removeprefix('$ ')
        marked = NOT_RUN.search(line)
        if line.startswith('#'):  # at the head of a block it holds for the whole block
            head = marked['reason'] if marked and not commands else head
            continue
        reason = marked['reason'] if marked else head
        commands += [Command(page, number, line, words, reason) for words in split(line)]
    return commands


def _logical_lines(start: int, text: str):
    """Yield number and text of each line, joined where a backslash or a quote goes on."""
    lines, held, first = text.splitlines(), '', start
    for number, line in enumerate(lines, start):
        if not held:
            first = number
        held = f'{held}\n{line}' if held else line
        if held.endswith('\\') or _is_open(held):
            continue
        if held.strip():
            yield first, held.replace('\\\n', ' ')
        held = ''
    assert not held, f'line {first} has no end: {held}'


def _is_open(text: str) -> bool:
    """Tell whether a quote is open at the end."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False


def split(line: str) -> list[tuple[str, ...]]:
    """Return the words of each command in a line.

    Assignments before a command and redirections are left out. A line of assignments alone, such
    as ``FILE=...`` or ``export NAME=...``, has no command.
    """
    line = SUBSTITUTION.sub('SUBSTITUTED', line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars='&|;<>')
    lexer.whitespace_split, lexer.commenters = True, '#'
    commands, words, skip = [], [], False
    for word in [*lexer, ';']:
        if word in SEPARATORS:
            if words:
                commands.append(tuple(words))
            words = []
        elif set(word) <= set('<>'):
            skip = True
        elif skip:
            skip = False
        elif words or not ASSIGNMENT.match(word):
            words.append(word)
    return [words for words in map(_without_starter, commands) if words and words[0] != 'export']


def _without_starter(words: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out what starts a command: sudo, and torchrun with its options."""
    if words[0] == 'torchrun' and '--no-python' in words:
        return words[words.index('--no-python') + 1:]
    return words[1:] if words[0] == 'sudo' else words
