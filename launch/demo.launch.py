"""Start a replayed camera, the segmentation node and, on request, RViz.

    ros2 launch enet_ros demo.launch.py source:=drive.mp4 rviz:=true
"""

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare('enet_ros')

#: name -> (default, description). The arguments of segment.launch.py work here as well, except the
#: topics and the namespace, which would move the node away from its camera.
ARGUMENTS = {
    'source': ('drawn', 'What the camera shows: drawn (the synthetic street), a video, an '
                        'image or a folder of images.'),
    'rate': ('15.0', 'Frames a second of the camera.'),
    'encoding': ('bgr8', 'Encoding of the images of the camera.'),
    'rviz': ('false', 'Whether to start RViz.'),
    'view': ('false', 'Whether to show the node in a browser.'),
}


def check_rate(context) -> list:
    """Check the rate before anything starts: a launch that fails ends no process.

    Raises:
        RuntimeError: It is not a number.
    """
    text = LaunchConfiguration('rate').perform(context)
    try:
        float(text)
    except ValueError:
        raise RuntimeError(f"rate is '{text}', wanted a number, such as 15.0") from None
    return []


def enlarge_shared_memory(context) -> list:
    """Give Fast DDS config/fastdds.xml, unless the user gives it a profile or transports."""
    older, newer = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
    if any(map(context.environment.get, (older, newer, 'FASTDDS_BUILTIN_TRANSPORTS'))):
        return []
    name = older if context.environment.get('ROS_DISTRO') in ('humble', 'jazzy') else newer
    return [SetEnvironmentVariable(name, PathJoinSubstitution([SHARE, 'config', 'fastdds.xml']))]


def generate_launch_description() -> LaunchDescription:
    """Start camera and node, with shared memory for whole frames (config/fastdds.xml)."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, (default, description) in ARGUMENTS.items()]
    camera = Node(
        package='enet_ros', executable='replay_camera', name='camera', output='screen',
        parameters=[{
            'source': ParameterValue(LaunchConfiguration('source'), value_type=str),
            'rate': ParameterValue(LaunchConfiguration('rate'), value_type=float),
            'encoding': ParameterValue(LaunchConfiguration('encoding'), value_type=str),
            'loop': True}])
    segment = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([SHARE, 'launch', 'segment.launch.py'])),
        launch_arguments={name: LaunchConfiguration(name)
                          for name in ('rviz', 'view')}.items())
    # The node comes first: its launch file checks its arguments before it starts anything.
    return LaunchDescription([*arguments, OpaqueFunction(function=check_rate),
                              OpaqueFunction(function=enlarge_shared_memory), segment, camera])
