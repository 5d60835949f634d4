"""Whether a command of a document could be run: its options, topics, arguments and files exist."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from enet_ros.cli.main import _make_parser
from enet_ros.perception.parameters.settings import PARAMETERS

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMETER_ARGUMENT = re.compile(r'(?P<name>[\w./<>]+):=(?P<value>.*)', re.DOTALL)
MODELS = REPOSITORY / 'enet_ros' / 'models'
NAMED_WEIGHTS = re.compile(r'^(?:WEIGHTS=|weights:=)')
#: Parameters that rclpy gives every node.
RCLPY_PARAMETERS = {'use_sim_time'}
LIFECYCLE_VERBS = {'configure', 'activate', 'deactivate', 'cleanup', 'shutdown'}


def problem_of(words: Sequence[str]) -> str:
    """Return what is wrong with a command, or an empty text."""
    problem = weights_problem(words)
    if problem:
        return problem
    check = {'enet-ros': enet_ros_problem, 'make': make_problem, 'ros2': ros2_problem,
             'segment_node': node_problem, 'replay_camera': node_problem}.get(words[0])
    if check is not None:
        return check(words)
    if words[0] == '.' or words[0].startswith('scripts/'):
        return script_problem(words)
    return ''


def weights_problem(words: Sequence[str]) -> str:
    """Check that weights that are named without a path or a suffix ship with the package."""
    for before, word in zip(('', *words), words):
        name = word if before == '--weights' else NAMED_WEIGHTS.sub('', word)
        is_given = before == '--weights' or name != word
        if is_given and not {'.', '/', '$'} & set(name) and not (
                MODELS / f'{name}.safetensors').is_file():
            return f'no weights {name} ship'
    return ''


def enet_ros_problem(words: Sequence[str]) -> str:
    """Parse the words with the real parser."""
    arguments, said = list(words[1:]), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            _make_parser(arguments)[0].parse_args(arguments)
        except SystemExit as end:
            if end.code:
                return said.getvalue().strip().splitlines()[-1]
    return ''


def options_problem(words: Sequence[str]) -> str:
    """Check only that a command and its options exist: for a command that the prose shortens."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            _make_parser([words[1], '--help'])[0].parse_args([words[1], '--help'])
        except SystemExit as end:
            if end.code:
                return said.getvalue().strip().splitlines()[-1]
    known = set(re.findall(r'(?<![\w-])--?[\w-]+', said.getvalue()))
    unknown = [word for word in words[2:] if word.startswith('-') and word not in known]
    return f'enet-ros {words[1]} has no option {unknown[0]}' if unknown else ''


def make_problem(words: Sequence[str]) -> str:
    """Hold targets and variables against the Makefile."""
    text = (REPOSITORY / 'Makefile').read_text()
    targets = set(re.search(r'^\.PHONY: (.*)$', text, re.MULTILINE)[1].split())
    for word in words[1:]:
        name, is_variable, _ = word.partition('=')
        if is_variable and not re.search(rf'\$\((?:if \$\()?{name}\b', text):
            return f'the Makefile has no variable {name}'
        if not is_variable and word not in targets:
            return f'the Makefile has no target {word}'
    return ''


def script_problem(words: Sequence[str]) -> str:
    """Check that a script is there, and that the extras of scripts/setup.sh are."""
    path = words[1] if words[0] == '.' else words[0]
    if path.startswith('install/'):  # of the user's own workspace
        return ''
    if not (REPOSITORY / path).is_file():
        return f'there is no {path}'
    if path == 'scripts/setup.sh':
        text = (REPOSITORY / 'pyproject.toml').read_text()
        extras = set(re.findall(r'^([\w-]+) = \[', text.split('[project.optional-dependencies]')[1]
                                .split('\n[')[0], re.MULTILINE)) | {'gpu'}
        unknown = set(words[1:]) - extras
        return f'pyproject.toml has no extra {sorted(unknown)[0]}' if unknown else ''
    return ''


def ros2_problem(words: Sequence[str]) -> str:
    """Check names of this package and its node; what other packages have is theirs."""
    if words[1:3] == ('launch', 'enet_ros'):
        return launch_problem(words[3], words[4:])
    if words[1:3] == ('run', 'enet_ros'):
        if words[3] not in {path.name for path in (REPOSITORY / 'bin').iterdir()}:
            return f'enet_ros has no executable {words[3]}'
        return node_problem(words[3:])
    for name in (word for word in words[2:] if word.startswith('/enet')):
        if name not in node_names():
            return f'the node has no {name}'
    if words[1] == 'param' and len(words) > 4 and words[3] == '/enet':
        return _parameter_problem(words[4], 'segment_node')
    if words[1:3] == ('lifecycle', 'set') and words[4] not in LIFECYCLE_VERBS:
        return f'{words[4]} is no transition'
    return ''


def launch_problem(name: str, arguments: Sequence[str]) -> str:
    """Hold the arguments of a launch file against those that it declares."""
    known = launch_arguments(name)
    if not known:
        return f'there is no launch file {name}'
    for argument in arguments:
        if argument not in ('-s', '--show-args') and argument.partition(':=')[0] not in known:
            return f'{name} has no argument {argument.partition(":=")[0]}'
    return ''


@cache
def launch_arguments(name: str) -> frozenset[str]:
    """Return the arguments that a launch file declares, with those of the one it includes."""
    path = REPOSITORY / 'launch' / name
    if not path.is_file():
        return frozenset()
    table = next(node.value for node in ast.parse(path.read_text()).body
                 if isinstance(node, ast.Assign) and node.targets[0].id == 'ARGUMENTS')
    own = frozenset(key.value for key in table.keys)
    return own | launch_arguments('segment.launch.py') if name == 'demo.launch.py' else own


def node_problem(words: Sequence[str]) -> str:
    """Hold ``-p NAME:=VALUE`` and ``-r FROM:=TO`` of a node against what it has."""
    for option, argument in zip(words, words[1:]):
        match = PARAMETER_ARGUMENT.fullmatch(argument)
        if option == '-p':
            problem = (_parameter_problem(match['name'], words[0]) if match
                       else f'{argument} is no NAME:=VALUE')
            if problem:
                return problem
        if option == '-r' and not match:
            return f'{argument} is no FROM:=TO'
    return ''


def _parameter_problem(name: str, program: str) -> str:
    if program == 'replay_camera':
        from enet_ros.ros.tools.replay_camera import PARAMETERS as CAMERA_PARAMETERS
        known = set(CAMERA_PARAMETERS)
    else:
        known = {row.name for row in PARAMETERS}
    is_own = name in known | RCLPY_PARAMETERS or name.startswith(('class_map.', 'qos_overrides.'))
    return '' if is_own else f'{program} has no parameter {name}'


@cache
def node_names() -> frozenset[str]:
    """Return the full names of the node, its topics and its services, as rclpy gives them."""
    from enet_ros.ros.tools.policy import policy_of
    policy = policy_of([])
    return frozenset({'/enet', *policy.publish, *policy.reply})
