"""The findings about a running graph, and the remedy of each. docs/doctor.md shows the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Severity(IntEnum):
    """How bad a finding is. The numbers are the exit codes."""

    FINE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Advice:
    """One row of the table.

    Attributes:
        severity: How bad it is.
        meaning: What was found, in a sentence.
        remedy: What to do about it, in a sentence.
    """

    severity: Severity
    meaning: str
    remedy: str


SHARE_MEMORY = ('Start containers with --ipc=host, and all nodes as one user; else set '
                'FASTDDS_BUILTIN_TRANSPORTS=UDPv4 in the container.')
W, E = Severity.WARNING, Severity.ERROR


class Kind(Enum):
    """What can be found, with its advice."""

    BACKEND = Advice(Severity.FINE, 'The node runs the network with this backend and precision.',
                     'Nothing to do.')
    NO_NODE = Advice(E, 'The node that was asked for is not in the graph.',
                     'Start the node, or name it with --node as `ros2 node list` shows it.')
    NO_NODE_INFO = Advice(E, 'Topics of enet_ros are there, and the name of their node does not '
                             'arrive, nor do messages.',
                          SHARE_MEMORY)
    SAME_NAME = Advice(E, 'Two nodes have one name.',
                       'Stop one, or start it with another name: --ros-args -r __node:=NAME.')
    NO_ANSWER = Advice(W, 'The node does not answer its services.',
                       'Wait if it starts or builds an engine; else restart it and read its log.')
    NOT_ACTIVE = Advice(E, 'The node is not active, so it publishes nothing.',
                        'Run `ros2 lifecycle set NODE configure` and then `activate`; read the '
                        'log of the node if that fails.')
    ENGINE = Advice(W, 'The node builds or loads its network.',
                    'Wait. `enet-ros warm` builds the engine before the next start.')
    NODE_WARNS = Advice(W, 'The node warns on /diagnostics.',
                        'Look for the sentence in docs/troubleshooting.md.')
    NODE_FAILS = Advice(E, 'The node reports an error on /diagnostics.',
                        'Look for the sentence in docs/troubleshooting.md.')
    NO_DIAGNOSTICS = Advice(W, 'The active node sent nothing on /diagnostics.',
                            'Look longer with --seconds, or restart the node if it hangs.')
    NO_PUBLISHER = Advice(E, 'Nobody publishes the image topic of the node.',
                          'Start the camera driver, or remap the input: -r image:=TOPIC.')
    TWO_PUBLISHERS = Advice(W, 'Several publishers send to one input topic, and frames mix.',
                            'Stop all but one, or give each camera a topic of its own.')
    TWO_NODES = Advice(E, 'Several nodes publish to one output topic, and masks mix.',
                       'Stop all but one, or give each node a name or namespace of its own.')
    QOS = Advice(E, 'The quality of service of publisher and subscriber cannot match.',
                 'Set the named policy of the node by qos_overrides.TOPIC.subscription.POLICY (an '
                 'input) or .publisher.POLICY (an output), or change the other side.')
    NO_FRAMES = Advice(E, 'A publisher is there, and no message came from it.',
                       'Look at the driver and the network: `ros2 topic hz TOPIC`. '
                       + SHARE_MEMORY)
    IMAGE = Advice(E, 'The node cannot read the images: encoding, size or data are wrong.',
                   'Let the driver send one of the encodings of docs/images.md, with sizes that '
                   'fit the data.')
    SIZE_CHANGES = Advice(W, 'The size of the images changes.',
                          'Give each camera a topic of its own, and the driver one fixed size.')
    SLOW = Advice(W, 'Images come slowly.',
                  'Look at exposure time, USB or network bandwidth, and frame rate of the driver.')
    SLOW_NODE = Advice(W, 'The node finishes far fewer frames than come.',
                       'Lower `resolution`, choose a faster backend, or subscribe fewer outputs.')
    NO_SUBSCRIBER = Advice(W, 'Nobody subscribes to an output, so the node segments nothing.',
                           'Subscribe to ~/labels or ~/drivable_mask, for instance in RViz.')
    STAMP_ZERO = Advice(W, 'The stamps of the images are zero.',
                        'Let the driver set header.stamp; without it nothing can match by time.')
    STAMP_STILL = Advice(W, 'The stamps of the images stand still.',
                         'Let the driver set header.stamp to the time of each exposure.')
    STAMP_PAST = Advice(W, 'The stamps of the images lie in the past.',
                        'Synchronize the clocks (chrony, PTP); for a bag set use_sim_time and '
                        'play it with --clock.')
    STAMP_FUTURE = Advice(W, 'The stamps of the images lie in the future.',
                          'Synchronize the clocks (chrony, PTP), or let the driver use ROS time.')
    STAMP_DROPPED = Advice(E, 'The node drops frames: stamps differ by more than max_frame_age.',
                           'Synchronize the clocks, or set max_frame_age to 0.')
    NO_CLOCK = Advice(E, 'use_sim_time is true, and /clock is silent.',
                      'Play the bag with --clock, start the simulator, or set use_sim_time false.')
    WALL_TIME = Advice(W, 'use_sim_time is false, and /clock is published.',
                       'Set use_sim_time to true if the images come from that bag or simulator.')
    NO_CAMERA_INFO = Advice(E, 'Outputs in meters are on, and no camera_info comes.',
                            'Start the driver with a calibration, or remap camera_info:=TOPIC.')
    LATCHED_CAMERA_INFO = Advice(E, 'camera_info may have been sent once, before the node '
                                 'listened.',
                                 'Set qos_overrides.TOPIC.subscription.durability to '
                                 'transient_local and .reliability to reliable.')
    CAMERA_INFO = Advice(W, 'The calibration does not fit the images.',
                         'Calibrate the camera at the size of its images; check the parameter '
                         '`rectified`.')
    FRAME_ID = Advice(W, 'Images and camera_info name different frames, or none.',
                      'Set frame_id of the driver to one optical frame.')
    NO_TF = Advice(E, 'TF has no way between two frames that the node needs.',
                   'Start robot_state_publisher or static_transform_publisher, or set base_frame '
                   'and odom_frame to frames that are there.')
    LABEL_INFO = Advice(E, 'The class names are not published.',
                        'Install vision_msgs and restart the node: the layer drops every frame '
                        'without LabelInfo.')
    CLASS_MISSING = Advice(W, 'The Nav2 file lacks a class of the node, and Nav2 leaves it out.',
                           'Add the class to `classes` of one of the class_types.')
    CLASS_UNKNOWN = Advice(E, 'The Nav2 file names a class that the node does not have.',
                           'Correct the name: case and spaces count.')
    NAV2_TOPIC = Advice(E, 'A topic in the Nav2 file has no publisher.',
                        'Correct the topic in the file, or the name and namespace of the node.')
    DOMAIN = Advice(E, 'A node on this machine runs with other settings of the middleware.',
                    'Set the named variable to one value for all: in each shell, service and '
                    'container.')
    OTHER_DOMAIN = Advice(Severity.FINE, 'Another node on this machine runs with other settings '
                                         'of the middleware.',
                          'Nothing to do, unless you look for that node: then set the '
                          'named variable as there.')
    DOMAIN_ID = Advice(E, 'ROS_DOMAIN_ID is no usable number.',
                       'Set it to a whole number from 0 to 101, the same in every shell.')
    DOMAIN_PORTS = Advice(W, 'The ports of this ROS_DOMAIN_ID are those that Linux gives to any '
                             'program, so nodes may not start or find each other.',
                          'Set it to a whole number from 0 to 101, the same in every shell.')
    LOCAL_ONLY = Advice(W, 'Discovery is limited, so nodes of other machines stay invisible.',
                        'Unset the variable if nodes run on other machines.')
    SHARED_MEMORY = Advice(W, 'Shared memory is small or cannot be written.',
                           'Start the container with --ipc=host or --shm-size=512m.')
    LEFTOVERS = Advice(W, 'Processes that were killed left shared memory behind, which takes RAM.',
                       'Run `python3 -m enet_ros.ros.shared_memory`. The next start of a node '
                       'does the same.')


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: Which row of the table it is.
        text: What was seen, with the values, a sentence.
    """

    kind: Kind
    text: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.kind.value.severity

    def as_dict(self) -> dict[str, str]:
        """Return what --json prints."""
        return {'finding': self.kind.name.lower(), 'level': self.severity.name.lower(),
                'text': self.text, 'remedy': self.kind.value.remedy}


def exit_code(findings: list[Finding]) -> int:
    """Return 0, 1 or 2: the worst severity."""
    return int(max((finding.severity for finding in findings), default=Severity.FINE))


def table() -> str:
    """Return the table of docs/doctor.md."""
    rows = [f'| `{kind.name.lower()}` | {kind.value.severity.name.lower()} | '
            f'{kind.value.meaning} | {kind.value.remedy} |' for kind in Kind]
    return '\n'.join(['| finding | level | what it means | what to do |', '|---|---|---|---|',
                      *rows]) + '\n'
