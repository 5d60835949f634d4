"""Start the segmentation node.

    ros2 launch enet_ros segment.launch.py image_topic:=/camera/image_raw rviz:=true

``ros2 launch enet_ros segment.launch.py -s`` lists the arguments. An argument at its default never
overrides the parameter file. If the node ends by itself, as after a hang of the network
(exit code 70), a crash or SIGKILL, it is started anew, and activates itself whatever autostart
says: a lifecycle manager without a bond does not see that the node ended. Exit code 0 is a stop
that was asked for, and 1 a start that the log explains, such as a bad parameter: these are left
alone.
"""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    TimerAction,
)
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackagePrefix, FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('enet_ros')

#: name -> (default, description)
ARGUMENTS = {
    'image_topic': ('image', 'Topic of the camera. With image_transport compressed the node '
                             'subscribes to <image_topic>/compressed. Several cameras (the '
                             'parameter cameras) have topics of their own, such as front/image, '
                             'which this does not remap.'),
    'camera_info_topic': ('camera_info', 'Topic of the calibration of that camera.'),
    'params_file': (PathJoinSubstitution([SHARE, 'config', 'segment.yaml']), 'Parameter file.'),
    'namespace': ('', 'Namespace of the node.'),
    'rviz': ('false', 'Whether to start RViz with camera, overlay, labels and drivable mask.'),
    'view': ('false', 'Whether to show the node in a browser. The URL is printed; see '
                      'docs/view.md.'),
    'log_level': ('info', 'Log level of the node: debug, info, warn, error or fatal.'),
    'backend': ('', 'Overrides the parameter backend: auto, openvino, tensorrt, torch or triton.'),
    'weights': ('', 'Overrides the parameter weights: a file, or a name that ships.'),
    'use_sim_time': ('', 'Overrides the parameter use_sim_time: true or false.'),
    'autostart': ('', 'Overrides the parameter autostart of the first start: true or false.'),
    'respawn': ('true', 'Whether the node is started anew after an exit code other than 0 and 1. '
                        'It then activates itself, whatever autostart says.'),
}
#: Exit codes of a node that is not started anew.
EXPECTED_EXITS = (0, 1)
RESPAWN_DELAY_SEC = 1.0
TEXT_OVERRIDES = ('backend', 'weights')
FLAG_OVERRIDES = ('use_sim_time', 'autostart')


def flag(name: str, text: str) -> bool:
    """Return a launch argument as a bool; raise a RuntimeError for any other text."""
    if text.lower() not in ('true', 'false'):
        raise RuntimeError(f"{name} is '{text}', wanted true or false")
    return text.lower() == 'true'


def start(context) -> list:
    """Check the arguments, then start the node and what shows it.

    A launch that fails does not end the processes that it has started, so all checks come first.
    """
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    # Shells do not expand ~ behind :=.
    given['params_file'] = os.path.expanduser(given['params_file'])
    if not Path(given['params_file']).is_file():
        raise RuntimeError(f"params_file is '{given['params_file']}', wanted a file; a relative "
                           f'path begins at {Path.cwd()}')
    node, actions = start_node(given), []
    if flag('view', given['view']):
        actions.append(viewer(given['namespace']))
    if flag('rviz', given['rviz']):
        actions.append(rviz(given))
    return [node, *actions]


def start_node(given: dict[str, str]) -> Node:
    """Return the action that starts the node, and starts it anew when it must."""
    def respawn(event, context) -> list:
        if context.is_shutdown or event.returncode in EXPECTED_EXITS:
            return []
        return [LogInfo(msg=f'segment_node ended with exit code {event.returncode}, and is '
                            f'started anew in {RESPAWN_DELAY_SEC:.0f} s'),
                TimerAction(period=RESPAWN_DELAY_SEC,
                            actions=[start_node({**given, 'autostart': 'true'})])]

    overrides = {name: given[name] for name in TEXT_OVERRIDES if given[name]}
    overrides |= {name: flag(name, given[name]) for name in FLAG_OVERRIDES if given[name]}
    return Node(
        package='enet_ros', executable='segment_node', name='enet',
        namespace=given['namespace'], output='screen', emulate_tty=True,
        parameters=[given['params_file'], *([overrides] if overrides else [])],
        remappings=[('image', given['image_topic']),
                    ('image/compressed', given['image_topic'] + '/compressed'),
                    ('camera_info', given['camera_info_topic'])],
        on_exit=respawn if flag('respawn', given['respawn']) else None,
        arguments=['--ros-args', '--log-level', given['log_level']])


def viewer(namespace: str) -> ExecuteProcess:
    """Return the action that starts enet-ros view."""
    program = PathJoinSubstitution(
        [FindPackagePrefix('enet_ros'), 'lib', 'enet_ros', 'enet-ros'])
    namespace = namespace.strip('/')
    return ExecuteProcess(
        cmd=[program, 'view', '--show', 'all', '--node', f'/{namespace}/enet'.replace('//', '/')],
        output='screen')


def rviz(given: dict[str, str]) -> Node:
    """Return the action that starts RViz.

    Raises:
        RuntimeError: It is not installed.
    """
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        raise RuntimeError('rviz is true, and rviz2 is not installed: sudo apt install '
                           'ros-$ROS_DISTRO-rviz2, or look at the node by view:=true') from None
    return Node(
        package='rviz2', executable='rviz2', namespace=given['namespace'],
        arguments=['-d', PathJoinSubstitution([SHARE, 'config', 'segment.rviz'])],
        remappings=[('image', given['image_topic'])])


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, and start the node and, on request, a viewer and RViz."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, (default, description) in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
