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
    from rclpy.utilities import remove_ros_args
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # It keeps the first argument, which is the name of the program.
    others = remove_ros_args(args=['', *arguments])[1:]
    if not others:
        return
    if set(others) & {'-h', '--help'}:
        print(usage)
        raise SystemExit(0)
    print(f"'{others[0]}' is not understood, wanted arguments of ROS after --ros-args\n"
          f'{usage.partition(chr(10))[0]}', file=sys.stderr)
    raise SystemExit(EXIT_USAGE)
