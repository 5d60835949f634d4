"""The world around the walked node: services, cameras and subscribers, over DDS."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rcl_interfaces.srv import SetParametersAtomically as SetAtomically
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from support.walk.process import WalkFailed

from enet_ros.ros.outputs import OUTPUTS

ANSWER_SEC = 120.0  # A configure may compile for a while.
KEPT_FRAMES = 200


def pixels_of(image):
    """Return the pixels of a mono8 message, (H, W) uint8."""
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)


class Outside:
    """Calls the services of a node, and is its cameras and its subscribers.

    Attributes:
        pairs: (camera, stamp in ns) -> the outputs labels and drivable_mask that came.
        on_pair: Called with camera, stamp, labels and mask when both have come.
        problems: What the thread that receives found wrong.
    """

    def __init__(self, cameras, node_name='enet'):
        """Join the graph, and subscribe to labels and masks of the cameras."""
        self.name = node_name
        self.context = rclpy.Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node('walker', context=self.context)
        self.pairs, self.problems = OrderedDict(), []
        self.on_pair = lambda *pair: None
        self._clients, self._publishers, self._subscribers = {}, {}, {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        for camera in cameras:
            for output in ('labels', 'drivable_mask'):
                self.node.create_subscription(
                    OUTPUTS[output].message_type, f'/{node_name}/{camera}/{output}',
                    lambda message, place=(camera, output): self._take(*place, message), 10)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # The walk stops at its next step, and says why.
            if self.context.ok():
                self.problems.append(f'the receiving thread: {type(error).__name__}: {error}')

    def _take(self, camera, output, message):
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        pair = self.pairs.setdefault((camera, stamp), {})
        pair[output] = message
        while len(self.pairs) > KEPT_FRAMES:
            self.pairs.popitem(last=False)
        if len(pair) == 2:
            self.on_pair(camera, stamp, *map(pixels_of, (pair['labels'], pair['drivable_mask'])))

    def begin(self, kind, service, **fields):
        """Send a request to a service of the node; return the future."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.node.create_client(
                kind, f'/{self.name}/{service}')
            if not client.wait_for_service(60.0):
                raise WalkFailed(f'/{self.name}/{service} is not there')
        return client.call_async(kind.Request(**fields))

    def end(self, future, what, check=lambda: None):
        """Return the answer to a request. ``check`` raises if none can come."""
        deadline = time.monotonic() + ANSWER_SEC
        while not future.done():
            check()
            if time.monotonic() > deadline:
                raise WalkFailed(f'{what} was not answered within {ANSWER_SEC:.0f} s')
            time.sleep(0.002)
        return future.result()

    def request_change(self, number):
        """Ask for a transition; return the future."""
        return self.begin(ChangeState, 'change_state', transition=Transition(id=number))

    def state(self, check):
        """Return the id of the node's state."""
        return self.end(self.begin(GetState, 'get_state'), 'get_state', check).current_state.id

    def request_set(self, changes, *, atomically):
        """Ask for a change of parameters, given as pairs; return the future."""
        messages = [Parameter(name, value=value).to_parameter_msg() for name, value in changes]
        if atomically:
            return self.begin(SetAtomically, 'set_parameters_atomically', parameters=messages)
        return self.begin(SetParameters, 'set_parameters', parameters=messages)

    def parameters(self, check):
        """Return the values of all parameters of the node by name."""
        names = self.end(self.begin(ListParameters, 'list_parameters', depth=0),
                         'list_parameters', check).result.names
        values = self.end(self.begin(GetParameters, 'get_parameters', names=names),
                          'get_parameters', check).values
        plain = {name: parameter_value_to_python(value) for name, value in zip(names, values)}
        return {name: list(value) if hasattr(value, 'tolist') else value
                for name, value in plain.items()}

    def publish(self, kind, topic, message):
        """Publish on a topic of the node, once a subscriber is there."""
        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self.come(kind, topic)
        deadline = time.monotonic() + 20.0
        while not publisher.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.005)
        publisher.publish(message)

    def come(self, kind, topic, walk=None):
        """Create the publisher of a topic anew, with a QoS by chance; return it."""
        self.leave(topic)
        qos = QoSProfile(depth=5)
        if walk is not None:
            qos = QoSProfile(depth=walk.choice([1, 3, 10]),
                             reliability=walk.choice([ReliabilityPolicy.RELIABLE,
                                                      ReliabilityPolicy.BEST_EFFORT]),
                             durability=walk.choice([DurabilityPolicy.VOLATILE,
                                                     DurabilityPolicy.TRANSIENT_LOCAL]))
        self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def leave(self, topic):
        """Remove the publisher of a topic."""
        publisher = self._publishers.pop(topic, None)
        if publisher is not None:
            self.node.destroy_publisher(publisher)

    def toggle_subscriber(self, output, camera):
        """Subscribe to an output, or end that; return which."""
        topic = f'/{self.name}/{camera}/{output}' if output else '/diagnostics'
        subscription = self._subscribers.pop(topic, None)
        if subscription is not None:
            self.node.destroy_subscription(subscription)
            return f'{topic} has one subscriber less'
        kind = OUTPUTS[output].message_type if output else DiagnosticArray
        self._subscribers[topic] = self.node.create_subscription(
            kind, topic, lambda message: None, 1, raw=True)
        return f'{topic} has a subscriber'

    def graph(self):
        """Return how many endpoints of the node the graph has, by kind."""
        node, place = self.node, (self.name, '/')
        return {'topics published': len(node.get_publisher_names_and_types_by_node(*place)),
                'topics subscribed': len(node.get_subscriber_names_and_types_by_node(*place)),
                'services': len(node.get_service_names_and_types_by_node(*place)),
                'clients': len(node.get_client_names_and_types_by_node(*place))}

    def close(self):
        """Leave the graph."""
        self.context.try_shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()
