"""The SROS 2 policy of the node: what it publishes, subscribes to and serves, and nothing else.

The names come from where the node has them: a node is made with the same ROS arguments, so rclpy
itself applies namespace and remapping, and its services are those that rclpy gave it. It is alone
in a domain of this machine, and gone before the policy is printed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from enet_ros.network.checkpoint import read_checkpoint, weights_path
from enet_ros.perception.parameters.settings import NodeSettings
from enet_ros.ros.outputs import OUTPUTS
from enet_ros.ros.parameters import NodeParameters
from enet_ros.ros.qos import compressed_topic

#: Version of the policy's form, as sros2 checks it.
POLICY_VERSION = '0.2.0'
NODE_NAME = 'enet'  # unless the arguments say otherwise
#: What every camera's table of outputs stands beside. All but the first come from rcl and rclpy.
NODE_TOPICS = ('/diagnostics', '/parameter_events', '/rosout', '~/transition_event')


@dataclass(frozen=True)
class Policy:
    """What a node needs on the ROS network.

    Attributes:
        node: Name of the node.
        namespace: Namespace of the node, with a leading slash.
        enclave: Path of the enclave in the keystore.
        publish: Full names of the topics that it publishes, sorted.
        subscribe: Full names of the topics that it subscribes to, sorted.
        reply: Full names of the services that it answers, sorted.
    """

    node: str
    namespace: str
    enclave: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reply: tuple[str, ...]

    def as_xml(self) -> str:
        """Return the policy file for ``ros2 security create_permission``."""
        policy = ET.Element('policy', version=POLICY_VERSION)
        enclave = ET.SubElement(ET.SubElement(policy, 'enclaves'), 'enclave', path=self.enclave)
        profile = ET.SubElement(ET.SubElement(enclave, 'profiles'), 'profile', ns=self.namespace,
                                node=self.node)
        for kind, qualifier, names in (('topic', 'publish', self.publish),
                                       ('topic', 'subscribe', self.subscribe),
                                       ('service', 'reply', self.reply)):
            rules = ET.SubElement(profile, f'{kind}s', {qualifier: 'ALLOW'})
            for name in names:
                ET.SubElement(rules, kind).text = name
        ET.indent(policy)
        return ET.tostring(policy, encoding='unicode', xml_declaration=True) + '\n'


def policy_of(ros_arguments: Sequence[str]) -> Policy:
    """Make the policy of a node that is started with some ROS arguments.

    Args:
        ros_arguments: What follows ``--ros-args`` on the command line of segment_node.

    Raises:
        ValueError: The node refuses a parameter or its weights (ConfigError, CheckpointError), or
            the arguments cannot be read.
    """
    context = rclpy.Context()
    with ExitStack() as rest:
        try:
            rclpy.init(args=['--ros-args', *ros_arguments], context=context)
            rest.callback(context.try_shutdown)
            node = LifecycleNode(NODE_NAME, context=context)
        except Exception as error:  # rclpy's exceptions have no narrower base class.
            raise ValueError(f'no node can be made of --ros-args {" ".join(ros_arguments)}: '
                             f'{error}') from error
        rest.callback(node.destroy_node)
        parameters = NodeParameters(node)
        settings = parameters.settings()
        parameters.configure(settings, read_checkpoint(weights_path(settings.weights)).class_map)
        needs_transforms = any(camera.needs_transforms
                               for camera in parameters.camera_settings.values())
        return Policy(
            node.get_name(), node.get_namespace(),
            _enclave_in(ros_arguments) or node.get_fully_qualified_name(),
            _resolved(node, _published(settings)),
            _resolved(node, _subscribed(node, settings, needs_transforms=needs_transforms)),
            tuple(sorted(node.resolve_service_name(service.srv_name)
                         for service in node.services)))


def _published(settings: NodeSettings) -> Iterable[str]:
    """Yield the topics that the node publishes, before remapping."""
    yield from NODE_TOPICS
    for camera in settings.cameras:
        prefix = f'~/{camera}/' if camera else '~/'
        yield from (f'{prefix}{output}' for output in (*OUTPUTS, 'label_info'))


def _subscribed(node: Node, settings: NodeSettings, *,
                needs_transforms: bool) -> Iterable[str]:
    """Yield the topics that the node subscribes to, before remapping."""
    for camera in settings.cameras:
        prefix = f'{camera}/' if camera else ''
        image = f'{prefix}image'
        yield image if settings.image_transport == 'raw' else compressed_topic(node, image)
        yield f'{prefix}camera_info'
    if needs_transforms:
        yield from ('/tf', '/tf_static')
    if node.get_parameter('use_sim_time').value:
        yield '/clock'


def _resolved(node: Node, topics: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({node.resolve_topic_name(topic) for topic in topics}))


def _enclave_in(ros_arguments: Sequence[str]) -> str:
    """Return the enclave that the arguments name, or ''."""
    for option, value in zip(ros_arguments, ros_arguments[1:]):
        if option in ('-e', '--enclave'):
            return value
    return ''
