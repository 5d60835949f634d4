"""Files, classes and functions stay small enough to be read (issue 14, CONTRIBUTING.md)."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FILE_LINES, CLASS_LINES, CLASS_METHODS, FUNCTION_LINES = 400, 250, 15, 40
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

FILES = sorted(path for folder in ('enet_ros', 'test', 'launch', 'scripts', 'bin', 'examples')
               for path in (REPOSITORY / folder).rglob('*')
               if path.suffix == '.py' or folder == 'bin' and path.is_file())


def lines_of(node):
    """Return the lines of a definition, decorators excepted."""
    return node.end_lineno - node.lineno + 1


def methods_of(node):
    """Count the methods of a class and of the classes nested in it."""
    return sum(isinstance(child, FUNCTIONS) or
               (methods_of(child) if isinstance(child, ast.ClassDef) else 0)
               for child in node.body)


def offences(text):
    """Yield a sentence for each limit that a file's text breaks."""
    if (count := len(text.splitlines())) > FILE_LINES:
        yield f'the file has {count} lines, wanted at most {FILE_LINES}'
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FUNCTIONS) and lines_of(node) > FUNCTION_LINES:
            yield f'{node.name} has {lines_of(node)} lines, wanted at most {FUNCTION_LINES}'
        if isinstance(node, ast.ClassDef) and lines_of(node) > CLASS_LINES:
            yield f'{node.name} has {lines_of(node)} lines, wanted at most {CLASS_LINES}'
        if isinstance(node, ast.ClassDef) and methods_of(node) > CLASS_METHODS:
            yield f'{node.name} has {methods_of(node)} methods, wanted at most {CLASS_METHODS}'


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_file_keeps_within_the_limits(path):
    assert list(offences(path.read_text())) == []


def test_the_limits_are_seen_to_be_broken():
    long_function = 'def f():\n' + '    pass\n' * FUNCTION_LINES
    many_methods = 'class C:\n' + '    def f(self): pass\n' * 8 + \
        '    class D:\n' + '        def f(self): pass\n' * 8
    assert list(offences(long_function)) == ['f has 41 lines, wanted at most 40']
    assert list(offences(many_methods)) == ['C has 16 methods, wanted at most 15']
    assert list(offences('\n' * 401)) == ['the file has 401 lines, wanted at most 400']
    assert list(offences('class C:\n' + '    x = 1\n' * CLASS_LINES)) == [
        'C has 251 lines, wanted at most 250']
