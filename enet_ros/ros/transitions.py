"""Lifecycle transitions that no request can break, and that let the executor go on meanwhile.

rclpy 7.1 raises in the callback of ``change_state`` if a transition is not possible, which ends
the process. It also runs configure inside that callback, so nothing else is answered for the
seconds that a network compiles. This module serves ``change_state`` itself: it refuses what is not
possible, and it awaits the network, which is built in a thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import wraps
from typing import Protocol

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future

from enet_ros.common.one_line_error import describe_error
from enet_ros.ros.compat import InvalidHandle, RCLError

#: Ids of the transitions that start a node.
CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE

LONGEST_LABEL = 100  # characters of a label that are read
PRIMARY_STATES = frozenset({State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE,
                            State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED})


class TransitionRefused(ValueError):
    """A transition that is not possible now. The message says which ones are."""


class Preparable(Protocol):
    """The part of a node that is used beside ``rclpy.lifecycle.LifecycleNode``."""

    def prepare(self) -> Callable[[], object]:
        """Begin to configure. Return the slow part, to be called in a thread. Neither raises."""


class Transitions:
    """Changes the state of one lifecycle node. The executor's thread calls every method."""

    def __init__(self, node: Preparable):
        """Serve ``change_state`` in place of rclpy.

        Args:
            node: A lifecycle node with a method :meth:`Preparable.prepare`.
        """
        self._node = node
        self._callbacks = {
            State.TRANSITION_STATE_CONFIGURING: node.on_configure,
            State.TRANSITION_STATE_CLEANINGUP: node.on_cleanup,
            State.TRANSITION_STATE_SHUTTINGDOWN: node.on_shutdown,
            State.TRANSITION_STATE_ACTIVATING: node.on_activate,
            State.TRANSITION_STATE_DEACTIVATING: node.on_deactivate,
            State.TRANSITION_STATE_ERRORPROCESSING: node.on_error}
        service = node._service_change_state  # rclpy has no public access to it.
        service.callback = self._serve
        # While a transition is awaited, the other services go on, and so do further requests.
        service.callback_group = ReentrantCallbackGroup()
        service.callback_group.add_entity(service)

    async def _serve(self, request: ChangeState.Request,
                     response: ChangeState.Response) -> ChangeState.Response:
        """Answer a request when its transition is over."""
        transition = request.transition.label[:LONGEST_LABEL] or int(request.transition.id)
        try:
            result = await self.change(transition)
            response.success = result is TransitionCallbackReturn.SUCCESS
        except TransitionRefused as refusal:
            response.success = False
            self._node.get_logger().warning(str(refusal), throttle_duration_sec=1.0)
        except Exception as error:  # Whatever rclpy raises, the node lives.
            response.success = False
            self._node.get_logger().error(
                f'transition {transition!r} failed: {describe_error(error)}')
        return response

    async def change(self, transition: int | str) -> TransitionCallbackReturn:
        """Make a transition. The executor goes on while a network is built for it.

        Args:
            transition: Id or label of the transition.

        Returns:
            What the node's callback returned.

        Raises:
            TransitionRefused: The transition is not possible now.
        """
        machine = self._node._state_machine
        before = self._state()
        transition_id = self._find(transition, before)
        machine.trigger_transition_by_id(transition_id, True)
        if self._state().state_id == State.TRANSITION_STATE_CONFIGURING:
            await self._in_thread(self._node.prepare())
        result = self._run(before)
        if result is TransitionCallbackReturn.ERROR:
            self._run(before)  # of the error processing, which leads to unconfigured
        return result

    def _state(self) -> LifecycleState:
        """Return the state that the node is in."""
        state_id, label = self._node._state_machine.current_state
        return LifecycleState(label=label, state_id=state_id)

    def _find(self, transition: int | str, state: LifecycleState) -> int:
        """Return the id of a transition that is possible in a state."""
        possible = {}
        if state.state_id in PRIMARY_STATES:  # else only the node itself goes on
            possible = {label: transition_id for transition_id, label, *_
                        in self._node._state_machine.available_transitions}
        if transition in possible:
            return possible[transition]
        if transition in possible.values():
            return transition
        choice = ', '.join(f'{label} ({number})' for label, number in possible.items())
        raise TransitionRefused(
            f'transition {transition!r} is refused, since the node is {state.label}; possible '
            f'now: {choice or "none"}' + ('' if state.state_id in PRIMARY_STATES else
                                          '; ask again when this transition is over'))

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """Run work that does not raise in a thread, and await its end."""
        executor = self._node.executor
        if executor is None:  # Nobody else waits for an answer.
            work()
            return
        done = Future(executor=executor)
        done.add_done_callback(lambda future: None)  # It wakes the executor.

        def run() -> None:
            work()
            with contextlib.suppress(InvalidHandle, RCLError):  # The executor may have ended.
                done.set_result(None)

        try:
            threading.Thread(target=run, name='configure', daemon=True).start()
        except RuntimeError:  # The system allows no further thread.
            run()
        await done

    def _run(self, before: LifecycleState) -> TransitionCallbackReturn:
        """Call the callback of the state that the node is in, and leave that state."""
        result = self._callbacks[self._state().state_id](before)
        self._node._state_machine.trigger_transition_by_label(result.to_label(), True)
        return result


def never_raises(callback: Callable) -> Callable:
    """Return a transition's callback that logs an exception and returns ERROR for it.

    rclpy goes to the error processing then, but it does not say why.
    """
    @wraps(callback)
    def run(node, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(node, state)
        except Exception as error:  # Whatever it is, the node lives and says why.
            node.get_logger().error(
                f'{callback.__name__.removeprefix("on_")} failed, so the node goes back to '
                f'unconfigured: {describe_error(error)}')
            return TransitionCallbackReturn.ERROR
    return run
