"""The command line: ``enet-ros COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import keyword
import os
import sys
from collections.abc import Callable

from enet_ros.cli.say import say_error
from enet_ros.common.memory import explain, is_out_of_memory
from enet_ros.common.requirements import explain_absence

Run = Callable[[argparse.Namespace], int]

#: name -> what the command does, in a line. A command's module is imported only when it runs, so
#: that help is instant.
COMMANDS = {
    'segment': 'label images and videos, without ROS',
    'label-import': 'turn what people drew in CVAT, Label Studio or labelme into a data set',
    'train': 'train weights on CamVid, Cityscapes, SUN RGB-D or images of your own',
    'draw': 'draw a data set of synthetic roads for train',
    'eval': "score weights on a data set's split",
    'calibrate': 'find the least confidence of weights, for suspect frames; calibrates no camera',
    'compare': 'tell two weights, precisions or settings apart on one recording',
    'bench': 'measure the network beside other runtimes, or the node, on this machine',
    'soak': 'run the node among its cameras for a long time: frames, memory, latency',
    'import': "turn another project's weights into a .safetensors file",
    'export': 'write the graph that the node runs as ONNX, OpenVINO or torch.export, or in int8',
    'params': 'print the parameters of the node, as text or as a parameter file',
    'messages': 'print the reference of topics and messages: types, QoS, each field',
    'policy': 'print the SROS 2 policy of the node: each topic and service that it needs',
    'warm': 'compile the network of the node beforehand, so that it starts in a moment',
    'bag': 'label recordings (rosbag2), one or many, without ROS',
    'view': 'show a running node in a browser; needs ROS 2',
    'doctor': 'print what this machine has, what will run the network, and what is missing',
}

#: The extra of pyproject.toml that a command needs, where it is not 'train'.
EXTRAS = {'bag': 'bag', 'bench': 'bench', 'soak': 'bench', 'export': 'export', 'view': 'view'}


EPILOG = """\
example:
  enet-ros segment street.jpg --out labeled/

enet-ros COMMAND --help explains a command, what it writes, and shows an example."""


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command and its options; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed, 2 called wrongly, 130 stopped by Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if '_ARGCOMPLETE' in os.environ:  # A shell asks how the line goes on.
        arguments = os.environ.get('COMP_LINE', '').split()[1:]
    command = _find_command(arguments)
    try:
        parser, run = _make_parser(arguments)
        if '_ARGCOMPLETE' in os.environ:
            import argcomplete
            argcomplete.autocomplete(parser)  # It ends the process.
        return run(parser.parse_args(arguments))
    except (ValueError, OSError, MemoryError) as error:
        say_error(command, f'error: {explain(error)}')
        return 2
    except ImportError as error:
        text = explain(error) if is_out_of_memory(error) else \
            f'{error}; {_remedy(error, command)}'
        say_error(command, f'error: {text}')
        return 2
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        return 130


def _remedy(error: ImportError, command: str) -> str:
    """Say what to do for a command that lacks a package."""
    package = (error.name or '').partition('.')[0]
    if package == 'rclpy' or package.endswith(('_msgs', '_interfaces')):
        return 'wanted ROS 2: source its setup.bash, or scripts/ros_env.sh in the checkout'
    if package == 'rerun' and sys.version_info < (3, 11):
        return ('the viewer needs Python 3.11 or newer, and ROS 2 Humble has 3.10: look at the '
                'node in Foxglove or RViz')
    if explanation := explain_absence(error):
        return explanation
    from enet_ros.machine import how_to_install
    return f'this command needs more packages: {how_to_install(EXTRAS.get(command, "train"))}'


def _make_parser(arguments: list[str]) -> tuple[argparse.ArgumentParser, Run | None]:
    """Return the parser, and the function that runs the command among the arguments."""
    parser = argparse.ArgumentParser(
        prog='enet-ros', description='Real-time semantic segmentation with ENet.', epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    chosen, run = _find_command(arguments), None
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(
                f'enet_ros.cli.{_module_name(name)}')
            command.description = module.DESCRIPTION
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
            run = module.run
    return parser, run


def _find_command(arguments: list[str]) -> str:
    """Return the command among the arguments, or ''."""
    return next((word for word in arguments if word in COMMANDS), '')


def _module_name(command: str) -> str:
    """Return the name of a command's module."""
    return f'{command}_' if keyword.iskeyword(command) else command.replace('-', '_')
