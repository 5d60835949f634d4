"""Explain errors before the node exists: log folder, options, parameter files, QoS.

The texts of rcl name its own source lines. A text that is not known here is shown as it is.
"""

from __future__ import annotations

import os
import re

from enet_ros.common.plain_yaml import PlainYamlError, load_yaml, read_limited
from enet_ros.common.suggestions import suggest

LOG_ADVICE = 'set ROS_LOG_DIR to a folder that this user can write to'
_QUOTED = re.compile(r"'(--params-file|-p) (.*)'\. Error: (.*)", re.DOTALL)
_OWN_PARAMETER = re.compile(r"set parameter '([^']*)' to '(.*)' of type '(?:Type\.)?(\w+)', "
                            r"expecting type '(?:Type\.)?(\w+)'", re.DOTALL)
TYPES = {'BOOL': 'true or false', 'INTEGER': 'a whole number', 'DOUBLE': 'a number',
         'STRING': 'a text'}
_UNKNOWN_OPTION = re.compile(r"\['(.*?)'[,\]]", re.DOTALL)
#: What rcl takes after --ros-args, in full.
ROS_OPTIONS = ('--remap', '--param', '--params-file', '--log-level', '--log-config-file',
               '--log-file-name', '--enclave', '--disable-rosout-logs', '--disable-stdout-logs',
               '--disable-external-lib-logs', '--enable-rosout-logs', '--enable-stdout-logs',
               '--enable-external-lib-logs')
_LINE = re.compile(r'line(?:_num)? (\d+)')

#: part of rcl's text about a parameter -> what is meant, and what to do
YAML_ERRORS = {
    'Sequence should be of same type':
        'a list has whole numbers beside others: write every number of it with a point, such as '
        '[0.5, 1.0]',
    'No value at': 'a name has no value: give it one, or remove the line',
    'error not set': "there is no value after ':=': give one, such as '' for an empty text",
    'Error opening YAML file': 'the file is absent or cannot be read',
    'Sequences can only be values and not keys in params':
        'a list stands where a name is wanted: the values of a node belong under its name and '
        'ros__parameters',
    'before ros__parameters': 'the values of a node belong under its name and ros__parameters',
}


def home_problem() -> str:
    """Say that the log has no folder, which rcl would say in many lines; '' if it has one."""
    if any(os.environ.get(name) for name in ('ROS_LOG_DIR', 'ROS_HOME', 'HOME')):
        return ''
    return f'HOME is not set, so there is no folder for the log: {LOG_ADVICE}'


def explain_start(text: str) -> str:
    """Return in a sentence what a text of rcl means for the user, or the text.

    Args:
        text: Text of an exception while the node was made.
    """
    if own := _OWN_PARAMETER.search(text):  # such as use_sim_time, which rclpy declares
        name, value, given, wanted = own.groups()
        advice = ('; write it without quotes' if given == 'STRING' else
                  '; write it with quotes' if wanted == 'STRING' else '')
        return f"{name} is '{value}', wanted {TYPES.get(wanted, wanted)}{advice}"
    if unknown := _UNKNOWN_OPTION.match(text):
        advice = suggest(unknown[1], ROS_OPTIONS) or f', wanted one of {", ".join(ROS_OPTIONS)}'
        return f"'{unknown[1]}' after --ros-args is no option of ROS{advice}"
    quoted = _QUOTED.search(text)
    if quoted is None:
        is_about_log = 'log directory' in text or 'logging' in text
        return f'{_explain_log(text)}: {LOG_ADVICE}' if is_about_log else text
    option, value, error = quoted.groups()
    subject = (f'the parameter file {value}' if option == '--params-file' else
               f'the argument -p {value}')
    error = error.partition(', at /')[0].strip()
    meaning = next((words for part, words in YAML_ERRORS.items() if part in error), '')
    if not meaning and option == '--params-file' and (reason := _read_again(value)):
        return f'{subject} is refused: {reason}'
    line = _LINE.search(error) if option == '--params-file' else None
    place = f' in line {line[1]}' if line else ''
    return f'{subject} is refused{place}: {meaning or error}'


def _read_again(path: str) -> str:
    """Return why our own reader refuses a parameter file, or '' if it does not.

    rcl says nothing of a mistake in YAML, and names the line before it.
    """
    try:
        load_yaml(read_limited(path))
    except PlainYamlError as error:
        return str(error)
    except (OSError, ImportError):
        pass
    return ''


def _explain_log(text: str) -> str:
    folder = re.search(r"directory '([^']*)': (\d+)", text)
    if folder is None:
        return f"the log cannot be opened ({text.partition(', at /')[0]})"
    return f'the folder {folder[1]} for the log cannot be made ({os.strerror(int(folder[2]))})'
