"""A thread of its own for the cameras' messages.

rclpy's executor builds its wait set anew from every timer, service and subscription of the node
each time anything comes: most of a millisecond, in which it holds the interpreter's lock. At
ninety frames a second that is a seventh of a core, taken from the network. A wait set of the
cameras' subscriptions alone costs a fraction of that (docs/performance.md).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.subscription import Subscription

TIMEOUT_NS = 500_000_000  # so that a context that shuts down is noticed
EVENTS_PERIOD_SEC = 0.5   # between looks at the events, such as an incompatible QoS


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
    """Take what came last on a subscription, or None where nothing has since the last time."""
    newest, handle = None, subscription.handle
    with handle:
        while taken := handle.take_message(subscription.msg_type, subscription.raw):
            newest = taken[0]
    return newest


class Receiver:
    """Takes the messages of some subscriptions as they come, in one thread, until closed."""

    def __init__(self, node: Node, subscriptions: Sequence[Subscription],
                 on_demand: Sequence[Subscription] = ()):
        """Take the subscriptions away from the node's executor and start the thread.

        Args:
            node: theirs.
            subscriptions: each with the callback that takes its messages; what it raises is
                logged.
            on_demand: those that nothing wakes for, since somebody takes their messages when they
                are needed (:func:`take_newest`).
        """
        self._node, self._subscriptions = node, list(subscriptions)
        # In rmw_fastrtps a wait for an event of a subscription also wakes for its messages. So
        # events are not waited for, here or in the executor, but looked at now and then.
        self._events = [event for subscription in (*subscriptions, *on_demand)
                        for event in subscription.event_handlers]
        self._events_seen = time.monotonic()
        for entity in (*self._subscriptions, *on_demand, *self._events):
            entity.callback_group = NotForExecutors()
        self._closing = False
        self._wake = GuardCondition(None, None, node.context)
        self._thread = threading.Thread(target=self._run, name='receive frames', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the thread end after the message in hand; waits no longer than for that."""
        self._closing = True
        with contextlib.suppress(_rclpy.InvalidHandle), self._wake.handle:
            self._wake.trigger()

    def _run(self) -> None:
        with contextlib.suppress(_rclpy.InvalidHandle, _rclpy.RCLError), \
                contextlib.ExitStack() as handles:  # nothing of it is destroyed while it is used
            for entity in (self._wake, *self._subscriptions):
                handles.enter_context(entity.handle)
            for event in self._events:
                handles.enter_context(event)
            handles.enter_context(self._node.context.handle)
            messages = _rclpy.WaitSet(len(self._subscriptions), 1, 0, 0, 0, 0,
                                      self._node.context.handle)
            events = _rclpy.WaitSet(0, 0, 0, 0, 0, len(self._events), self._node.context.handle)
            while not self._closing and self._node.context.ok():
                self._wait(messages)
                if time.monotonic() - self._events_seen > EVENTS_PERIOD_SEC:
                    self._look_at_events(events)
        self._wake.destroy()

    def _wait(self, waiting) -> None:
        """Wait for messages, and hand over the newest of each subscription."""
        waiting.clear_entities()
        for subscription in self._subscriptions:
            waiting.add_subscription(subscription.handle)
        waiting.add_guard_condition(self._wake.handle)
        waiting.wait(TIMEOUT_NS)
        ready = waiting.get_ready_entities('subscription')
        for subscription in self._subscriptions:
            if subscription.handle.pointer in ready:
                self._take(subscription)

    def _look_at_events(self, waiting) -> None:
        self._events_seen = time.monotonic()
        if not self._events:
            return
        waiting.clear_entities()
        for event in self._events:
            event.add_to_wait_set(waiting)
        waiting.wait(0)
        for event in self._events:
            data = event.take_data() if event.is_ready(waiting) else None
            if data:
                event.callback(data)

    def _take(self, subscription: Subscription) -> None:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None or self._closing:
            return
        callback: Callable = subscription.callback
        try:
            callback(taken[0])
        except Exception as error:  # of one message; the next one may do
            self._node.get_logger().error(
                f'{subscription.topic_name}: {type(error).__name__}: {error}',
                throttle_duration_sec=5.0)
