"""A thread of its own for the cameras' messages.

The executor of rclpy builds its wait set anew from every timer, service and subscription of the
node whenever anything comes. That takes most of a millisecond, in which it holds the lock of the
interpreter. At ninety frames a second it is a seventh of a core, taken from the network. A wait
set of the cameras' subscriptions costs a fraction of that (docs/performance.md).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.subscription import Subscription

from enet_ros.common.one_line_error import describe_error
from enet_ros.ros.compat import InvalidHandle, RCLError
from enet_ros.ros.logs import WARNING_PERIOD_SEC

TIMEOUT_NS = 500_000_000  # after which a context that has shut down is noticed
LONGEST_END_SEC = 0.5     # for the message in hand when a node is destroyed
EVENTS_PERIOD_SEC = 0.5   # between two looks at events, such as an incompatible QoS


class NotForExecutors(CallbackGroup):
    """A group whose entities no executor waits for."""

    def can_execute(self, entity) -> bool:
        """Return False."""
        return False

    def beginning_execution(self, entity) -> bool:
        """Return False."""
        return False

    def ending_execution(self, entity) -> None:
        """Do nothing."""


def take_newest(subscription: Subscription) -> object | None:
    """Take the newest message of a subscription, or None if none has come since the last time."""
    newest, handle = None, subscription.handle
    with handle:
        while taken := handle.take_message(subscription.msg_type, subscription.raw):
            newest = taken[0]
    return newest


class Receiver:
    """Takes the messages of some subscriptions as they come, in one thread, until closed."""

    def __init__(self, node: Node, subscriptions: Sequence[Subscription],
                 polled: Sequence[Subscription] = ()):
        """Take the subscriptions away from the node's executor, and start the thread.

        Args:
            node: Node of the subscriptions.
            subscriptions: Subscriptions with the callbacks that take their messages. An exception
                of a callback is logged.
            polled: Subscriptions that are polled with :func:`take_newest` and never wake the
                thread.
        """
        self._node, self._subscriptions = node, list(subscriptions)
        # In rmw_fastrtps a wait for an event of a subscription also wakes for its messages. So
        # nothing waits for events, here or in the executor. They are looked at now and then.
        self._events = [event for subscription in (*subscriptions, *polled)
                        for event in subscription.event_handlers]
        self._last_look_sec = time.monotonic()
        for entity in (*self._subscriptions, *polled, *self._events):
            entity.callback_group = NotForExecutors()
        self._closing = False
        self._wake = GuardCondition(None, None, node.context)
        self._thread = threading.Thread(target=self._run, name='receive frames', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask the thread to end after the current message, without waiting for it."""
        self._closing = True
        with contextlib.suppress(InvalidHandle), self._wake.handle:
            self._wake.trigger()

    def join(self, timeout_sec: float = LONGEST_END_SEC) -> None:
        """Wait for the end of the thread after :meth:`close`.

        Until then the middleware keeps the subscriptions, and with them its shared memory and the
        entries of this node in the graph.
        """
        self._thread.join(timeout_sec)

    def _run(self) -> None:
        with contextlib.suppress(InvalidHandle, RCLError), \
                contextlib.ExitStack() as handles:  # Nothing is destroyed while it is used.
            for entity in (self._wake, *self._subscriptions):
                handles.enter_context(entity.handle)
            for event in self._events:
                handles.enter_context(event)
            handles.enter_context(self._node.context.handle)
            messages = _rclpy.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0,
                                      self._node.context.handle)
            events = _rclpy.WaitSet(0, 0, 0, 0, 0, len(self._events), self._node.context.handle)
            while not self._closing and self._node.context.ok():
                self._receive(messages)
                if time.monotonic() - self._last_look_sec > EVENTS_PERIOD_SEC:
                    self._look_at_events(events)
        self._wake.destroy()

    def _receive(self, wait_set) -> None:
        """Wait for messages, and give one of each subscription to its callback."""
        wait_set.clear_entities()
        for subscription in self._subscriptions:
            wait_set.add_subscription(subscription.handle)
        wait_set.add_guard_condition(self._wake.handle)
        wait_set.wait(TIMEOUT_NS)
        ready = wait_set.get_ready_entities('subscription')
        for subscription in self._subscriptions:
            if subscription.handle.pointer not in ready:
                continue
            try:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None and not self._closing:
                    subscription.callback(taken[0])
            except Exception as error:  # It is of one message. The next one may succeed.
                if self._closing or not self._node.context.ok():
                    return
                self._node.get_logger().error(
                    f'{subscription.topic_name}: {describe_error(error)}',
                    throttle_duration_sec=WARNING_PERIOD_SEC)

    def _look_at_events(self, wait_set) -> None:
        self._last_look_sec = time.monotonic()
        if not self._events:
            return
        wait_set.clear_entities()
        for event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(0)
        for event in self._events:
            data = event.take_data() if event.is_ready(wait_set) else None
            if data:
                event.callback(data)
