"""What an executable may be called with, beside the arguments of ROS: nothing but --help."""

from __future__ import annotations

import sys
from collections.abc import Sequence

EXIT_USAGE = 2


def check_arguments(usage: str, arguments: Sequence[str] | None = None) -> None:
    """Print the usage and end the process for --help, and refuse other arguments.

    Args:
        usage: Text for --help, whose first line says how the program is called.
        arguments: Arguments after the name of the program, by default those of the process.

    Raises:
        SystemExit: The exit code is 0 after --help, and 2 for an argument that is not one of ROS.
    """
    others = without_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    if not others:
        return
    if set(others) & {'-h', '--help'}:
        print(usage)
        raise SystemExit(0)
    print(f"'{others[0]}' is not understood, wanted arguments of ROS after --ros-args\n"
          f'{usage.partition(chr(10))[0]}', file=sys.stderr)
    raise SystemExit(EXIT_USAGE)


def without_ros_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments outside --ros-args ... --.

    ``rclpy.utilities.remove_ros_args`` would read the parameter files as well, and raise the
    errors in them before ``rclpy.init`` does.
    """
    others, is_of_ros = [], False
    for argument in arguments:
        if argument == ('--' if is_of_ros else '--ros-args'):
            is_of_ros = not is_of_ros
        elif not is_of_ros:
            others.append(argument)
    return others
