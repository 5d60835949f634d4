"""Which row of the table describes a parameter of a node, by the parameter's name there."""

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from enet_ros.perception.parameters.names import find_row
from enet_ros.perception.parameters.settings import BY_NAME
from enet_ros.perception.parameters.table import Changes, Parameter


def given_values(node: Node) -> dict[str, object]:
    """Return the values that a node was started with, declared or not.

    Each is in the type of its parameter where it has one meaning there. rclpy has no public
    access to them. ``automatically_declare_parameters_from_overrides`` would declare typing
    errors as well, and with descriptors that say nothing.
    """
    given = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    cameras = BY_NAME['cameras'].converted(given.get('cameras'))
    rows = {name: find_row(name, cameras) for name in given}
    return {name: rows[name].converted(value) if rows[name] else value
            for name, value in given.items()}


def row_of(node: Node, name: str) -> Parameter | None:
    """Return the row of a declared parameter, or None if it has none."""
    if not node.has_parameter(name):
        return None
    return find_row(name, node.get_parameter('cameras').value)


def make_descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows of a parameter."""
    descriptor = ParameterDescriptor(description=parameter.description,
                                     read_only=parameter.changes is Changes.AT_START)
    if parameter.choices:
        descriptor.additional_constraints = parameter.wanted()
    if parameter.range:
        least, greatest = parameter.range
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=least, to_value=greatest)]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=least, to_value=greatest, step=1)]
    return descriptor
