"""Start the segmentation node.

    ros2 launch enet_ros segment.launch.py image_topic:=/camera/image_raw rviz:=true

``ros2 launch enet_ros segment.launch.py -s`` lists the arguments. An argument at its default never
overrides the parameter file. If the node ends by itself, as after a hang or a loss of the
network (exit code 70), a crash or SIGKILL, it is started anew, and activates itself whatever
autostart says: a lifecycle manager without a bond does not see that the node ended. It waits 1 s
for that, and twice as long as the last time, up to 30 s, if the node ended within 30 s. Exit code
0 is a stop that was asked for, and 1 a start that the log explains, such as a bad parameter: these
are left alone.
"""

import os
import time
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    TimerAction,
)
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackagePrefix, FindPackageShare
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

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
    'namespaced_tf': ('false', 'Whether TF is on <namespace>/tf and <namespace>/tf_static. Nav2 '
                               'puts it there if it starts in a namespace.'),
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
#: A node that ends sooner waits twice as long as the last time, up to LONGEST_DELAY_SEC.
SETTLED_SEC = LONGEST_DELAY_SEC = 30.0
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
    node, actions = start_node(given, keep_scope(context)), []
    if flag('view', given['view']):
        actions.append(viewer(make_namespace_absolute(prefix_namespace(
            context.launch_configurations.get('ros_namespace'), given['namespace']))))
    if flag('rviz', given['rviz']):
        actions.append(rviz(given))
    return [LogInfo(msg=describe_parameters(given)), node, *actions]


def find_overrides(given: dict[str, str]) -> dict[str, str | bool]:
    """Return the parameters that launch arguments override."""
    overrides = {name: given[name] for name in TEXT_OVERRIDES if given[name]}
    return overrides | {name: flag(name, given[name]) for name in FLAG_OVERRIDES if given[name]}


def describe_parameters(given: dict[str, str]) -> str:
    """Return where the parameters come from.

    An include before this one in the same file leaves its arguments behind, and Nav2's has some of
    the same names.
    """
    overrides = ' and '.join(f'{name}:={given[name]}' for name in find_overrides(given))
    return (f"segment_node reads the parameter file {given['params_file']}"
            + (f', which the launch arguments {overrides} override' if overrides else ''))


def keep_scope(context):
    """Return a function that gives a later context the namespace, remaps and so on of this one.

    A group around this file sets them, and has long left its scope when the node ends.
    """
    configurations = {name: list(value) if isinstance(value, list) else value
                      for name, value in context.launch_configurations.items()}
    environment = dict(context.environment)

    def restore(context):
        for current, kept in ((context.launch_configurations, configurations),
                              (context.environment, environment)):
            current.clear()
            current.update(kept)

    return restore


def tf_remappings(given: dict[str, str]) -> list[tuple[str, str]]:
    """Return the remappings of TF, which are those of Nav2."""
    return ([('/tf', 'tf'), ('/tf_static', 'tf_static')]
            if flag('namespaced_tf', given['namespaced_tf']) else [])


def start_node(given: dict[str, str], restore_scope, delay_sec: float = 0.0) -> GroupAction:
    """Return the action that starts the node after the delay, and starts it anew when it must."""
    start_sec = time.monotonic() + delay_sec

    def respawn(event, context) -> list:
        if context.is_shutdown or event.returncode in EXPECTED_EXITS:
            return []
        settled = time.monotonic() - start_sec >= SETTLED_SEC
        delay = RESPAWN_DELAY_SEC if settled or not delay_sec else min(2 * delay_sec,
                                                                       LONGEST_DELAY_SEC)
        return [LogInfo(msg=f'segment_node ended with exit code {event.returncode}, and is '
                            f'started anew in {delay:.0f} s'),
                TimerAction(period=delay, actions=[
                    start_node({**given, 'autostart': 'true'}, restore_scope, delay)])]

    overrides = find_overrides(given)
    node = Node(
        package='enet_ros', executable='segment_node', name='enet',
        namespace=given['namespace'], output='screen', emulate_tty=True,
        parameters=[given['params_file'], *([overrides] if overrides else [])],
        remappings=[('image', given['image_topic']),
                    ('image/compressed', given['image_topic'] + '/compressed'),
                    ('camera_info', given['camera_info_topic']), *tf_remappings(given)],
        on_exit=respawn if flag('respawn', given['respawn']) else None,
        arguments=['--ros-args', '--log-level', given['log_level']])
    return GroupAction([OpaqueFunction(function=restore_scope), node])


def viewer(namespace: str) -> ExecuteProcess:
    """Return the action that starts enet-ros view."""
    program = PathJoinSubstitution(
        [FindPackagePrefix('enet_ros'), 'lib', 'enet_ros', 'enet-ros'])
    return ExecuteProcess(
        cmd=[program, 'view', '--show', 'all', '--node', f"{namespace.rstrip('/')}/enet"],
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
        remappings=[('image', given['image_topic']), *tf_remappings(given)])


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, and start the node and, on request, a viewer and RViz."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, (default, description) in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
