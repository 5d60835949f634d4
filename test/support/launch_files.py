"""Launch files through the launch library, as ``ros2 launch`` starts them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from enet_ros.common.child import python_command

LAUNCH = Path(__file__).resolve().parents[2] / 'launch'
CODE = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[argument.split(':=', 1) for argument in sys.argv[2:]])]))
sys.exit(service.run())
"""

#: How a robot's bring-up includes a launch file.
BRINGUP = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace, SetParameter, SetRemap

def generate_launch_description():
    return LaunchDescription([GroupAction([
        PushRosNamespace('robot1'), SetParameter('stall_timeout', 7.0),
        SetRemap('image', 'front/image'),
        SetEnvironmentVariable('RCUTILS_CONSOLE_OUTPUT_FORMAT', 'BRINGUP [{name}]: {message}'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(SEGMENT),
                                 launch_arguments=ARGUMENTS)])])
"""


def write_bringup(folder: Path, **arguments: str) -> str:
    """Write a launch file that includes segment.launch.py in a group; return its path."""
    values = {'SEGMENT': str(LAUNCH / 'segment.launch.py'), 'ARGUMENTS': list(arguments.items())}
    path = folder / 'bringup.launch.py'
    path.write_text(''.join(f'{name} = {value!r}\n' for name, value in values.items()) + BRINGUP)
    return str(path)


def start_launch(name: str, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start ``ros2 launch enet_ros NAME ARGUMENT...`` in a process group of its own.

    NAME may also be the path of a launch file elsewhere.
    """
    return subprocess.Popen(
        [*python_command(), '-c', CODE, str(LAUNCH / name), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, **environment})


def end_launch(process: subprocess.Popen):
    """End it as Ctrl-C does, or by force."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
