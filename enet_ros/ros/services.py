"""Services of a node that no request can break, and parameters that are set in words.

rclpy 7.1 lets an exception of a service's callback end the process, and a parameter whose type is
no type raises one. Its refusals name Python's types. Here every parameter in a request is read as
the parameter file is: a whole number serves as a float, and a wrong type is refused in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from enet_ros.common.one_line_error import describe_error, printable
from enet_ros.perception.parameters.names import explain_unknown
from enet_ros.perception.parameters.table import Changes, ConfigError
from enet_ros.ros.compat import RCLError
from enet_ros.ros.logs import WARNING_PERIOD_SEC
from enet_ros.ros.parameter_rows import row_of

#: Names or values in one request. While the executor answers a longer one, it notices no stall.
MOST_PARAMETERS = 1000
LONGEST_NAME = 200  # characters of an unknown name that are read
TYPES = range(ParameterType.PARAMETER_NOT_SET, ParameterType.PARAMETER_STRING_ARRAY + 1)


def guard_services(node: Node) -> None:
    """Put a guard around the callback of every service that a node has now.

    None of them may be a coroutine.
    """
    for service in node.services:
        answer = service.callback
        if service.srv_type is SetParameters:
            answer = _set_each(node, answer)
        elif service.srv_type is SetParametersAtomically:
            answer = _set_all(node, answer)
        name = node.resolve_service_name(service.srv_name)  # Humble has no service_name.
        service.callback = _guarded(node, name, _limited(node, name, answer))
        service.send_response = _sent_or_logged(node, name, service.send_response)


def _guarded(node: Node, name: str, answer: Callable) -> Callable:
    """Return a callback that logs an exception, and sends the response as far as it was made."""
    def guarded(request, response):
        try:
            return answer(request, response)
        except Exception as error:  # Whatever it is, the node lives and says why.
            node.get_logger().error(f'a request of {name} failed: {describe_error(error)}')
            return response
    return guarded


def _limited(node: Node, name: str, answer: Callable) -> Callable:
    """Return a callback that refuses requests with more than ``MOST_PARAMETERS`` entries."""
    def limited(request, response):
        count = max((len(getattr(request, field))
                     for field in ('parameters', 'names', 'prefixes') if hasattr(request, field)),
                    default=0)
        if count <= MOST_PARAMETERS:
            return answer(request, response)
        reason = f'a request of {name} has {count} entries, wanted at most {MOST_PARAMETERS}'
        node.get_logger().warning(reason, throttle_duration_sec=WARNING_PERIOD_SEC)
        refusal = SetParametersResult(successful=False, reason=reason)
        if hasattr(response, 'results'):
            response.results = [refusal] * count
        elif isinstance(getattr(response, 'result', None), SetParametersResult):
            response.result = refusal
        return response
    return limited


def _sent_or_logged(node: Node, name: str, send: Callable) -> Callable:
    """Return a function that sends a response, or logs that its client is gone."""
    def send_or_log(response, header):
        try:
            send(response, header)
        except RCLError as error:
            node.get_logger().warning(f'an answer of {name} was not sent: {error}')
    return send_or_log


def _set_each(node: Node, answer: Callable) -> Callable:
    """Return a callback that sets parameters one by one."""
    def set_each(request, response):
        names = list(node.get_parameters_by_prefix(''))
        for message in request.parameters:
            reason = _prepare(node, message, names)
            if reason:
                response.results.append(SetParametersResult(successful=False, reason=reason))
            else:
                answer(SetParameters.Request(parameters=[message]), response)
        return response
    return set_each


def _set_all(node: Node, answer: Callable) -> Callable:
    """Return a callback that sets all parameters or none."""
    def set_all(request, response):
        names = list(node.get_parameters_by_prefix(''))
        reason = next(filter(None, (_prepare(node, message, names)
                                    for message in request.parameters)), '')
        if reason:
            response.result = SetParametersResult(successful=False, reason=reason)
            return response
        return answer(request, response)
    return set_all


def _prepare(node: Node, message: ParameterMessage, names: list[str]) -> str:
    """Bring the value of a parameter into its own type.

    Args:
        node: The node.
        message: Parameter of a request, whose value is changed.
        names: Names of all parameters of the node.

    Returns:
        Why the value is refused, or ''.
    """
    name = message.name
    if message.value.type not in TYPES:
        return f'{name} has the type {message.value.type}, wanted one of rcl_interfaces'
    if not node.has_parameter(name):
        return explain_unknown(printable(name[:LONGEST_NAME]),
                               node.get_parameter('cameras').value, names)
    row = row_of(node, name)
    if row is None:  # rclpy's own, such as use_sim_time
        return ''
    if row.changes is Changes.AT_START:
        return (f'{name} is fixed at the start: write it into the parameter file, and start the '
                'node again')
    try:
        value = row.checked(RosParameter.from_parameter_msg(message).value)
    except ConfigError as error:
        return str(error)
    message.value = RosParameter(
        name, value=list(value) if isinstance(value, tuple) else value).get_parameter_value()
    return ''
