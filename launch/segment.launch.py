"""Start the segmentation node.

    ros2 launch enet_ros segment.launch.py image_topic:=/camera/image_raw rviz:=true

``ros2 launch enet_ros segment.launch.py -s`` lists the arguments. An argument at its default never
overrides the parameter file.
"""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackagePrefix, FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('enet_ros')

#: name -> (default, description)
ARGUMENTS = {
    'image_topic': ('image', 'Topic of the camera. With image_transport compressed the node '
                             'subscribes to <image_topic>/compressed.'),
    'camera_info_topic': ('camera_info', "Topic of the camera's calibration."),
    'params_file': (PathJoinSubstitution([SHARE, 'config', 'segment.yaml']), 'Parameter file.'),
    'namespace': ('', 'Namespace of the node.'),
    'rviz': ('false', 'Whether to start RViz with camera, overlay, labels and drivable mask.'),
    'view': ('false', 'Whether to show the node in a browser. The URL is printed; see '
                      'docs/view.md.'),
    'log_level': ('info', 'Log level of the node: debug, info, warn, error or fatal.'),
    'backend': ('', 'Overrides the parameter backend: auto, openvino, tensorrt or torch.'),
    'weights': ('', 'Overrides the parameter weights: a file, or a name that ships.'),
    'use_sim_time': ('', 'Overrides the parameter use_sim_time: true or false.'),
    'autostart': ('', 'Overrides the parameter autostart: true or false.'),
}
TEXT_OVERRIDES = ('backend', 'weights')
FLAG_OVERRIDES = ('use_sim_time', 'autostart')


def flag(name: str, text: str) -> bool:
    """Return a launch argument as a bool; raise a RuntimeError for any other text."""
    if text.lower() not in ('true', 'false'):
        raise RuntimeError(f"{name} is '{text}', wanted true or false")
    return text.lower() == 'true'


def segment_node(context) -> list:
    """Build the node from the arguments that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: given[name] for name in TEXT_OVERRIDES if given[name]}
    overrides |= {name: flag(name, given[name]) for name in FLAG_OVERRIDES if given[name]}
    return [Node(
        package='enet_ros', executable='segment_node', name='enet',
        namespace=given['namespace'], output='screen', emulate_tty=True,
        parameters=[given['params_file'], overrides],
        remappings=[('image', given['image_topic']),
                    ('image/compressed', given['image_topic'] + '/compressed'),
                    ('camera_info', given['camera_info_topic'])],
        arguments=['--ros-args', '--log-level', given['log_level']])]


def viewer(context) -> list:
    """Start enet-ros view, if that was asked for."""
    if not flag('view', LaunchConfiguration('view').perform(context)):
        return []
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    program = PathJoinSubstitution(
        [FindPackagePrefix('enet_ros'), 'lib', 'enet_ros', 'enet-ros'])
    return [ExecuteProcess(
        cmd=[program, 'view', '--show', 'all', '--node', f'/{namespace}/enet'.replace('//', '/')],
        output='screen')]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, and start the node and, on request, RViz."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, (default, description) in ARGUMENTS.items()]
    rviz = Node(
        package='rviz2', executable='rviz2', namespace=LaunchConfiguration('namespace'),
        arguments=['-d', PathJoinSubstitution([SHARE, 'config', 'segment.rviz'])],
        remappings=[('image', LaunchConfiguration('image_topic'))],
        condition=IfCondition(LaunchConfiguration('rviz')))
    return LaunchDescription([*arguments, OpaqueFunction(function=segment_node),
                              OpaqueFunction(function=viewer), rviz])
