"""``enet-ros policy``: what the node may do on a ROS 2 network that checks identities."""

from __future__ import annotations

import argparse
import os

DESCRIPTION = """\
Print the SROS 2 policy of segment_node: the topics that it publishes and subscribes to, and the
services that it answers. Nothing else is allowed. Give the arguments with which the node starts
after --ros-args, so that name, namespace, remappings and parameters are the same.

  enet-ros policy > enet.policy.xml
  enet-ros policy --ros-args -r __ns:=/robot -r image:=/cam/image_raw > enet.policy.xml
  enet-ros policy --ros-args --params-file own.yaml --enclave /robot/enet > enet.policy.xml
  ros2 security create_permission KEYSTORE /robot/enet enet.policy.xml

docs/security.md shows every step. Make the policy anew when cameras, image_transport, ground.pose,
odom_frame, use_sim_time, a name or a remapping change."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument('--ros-args', nargs=argparse.REMAINDER, default=[], metavar='ARGUMENT',
                        help='arguments of segment_node; --enclave is the path of its enclave '
                             '(default: the full name of the node)')


def run(args: argparse.Namespace) -> int:
    """Print the policy; return the exit code."""
    # The node that gives the names is to meet nobody, and needs no enclave itself.
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'OFF'
    if os.environ.get('ROS_DISTRO') == 'humble':  # which knows no range
        os.environ['ROS_LOCALHOST_ONLY'] = '1'
    os.environ.pop('ROS_SECURITY_ENABLE', None)
    try:
        from enet_ros.ros.tools.policy import policy_of
    except ModuleNotFoundError as error:
        raise ValueError(f'{error}; wanted ROS 2, whose node gives the names: source its '
                         'setup.bash, or scripts/ros_env.sh in the checkout') from error
    print(policy_of(args.ros_args).as_xml(), end='')
    return 0
