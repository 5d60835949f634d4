"""The parameter table as rclpy declares it, and the settings a running node works by."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from enet_ros.network.class_map import ClassMap, parameter_name
from enet_ros.perception import settings as config
from enet_ros.perception.drivable import DrivablePolicy
from enet_ros.perception.planner_outputs import GridSpec, ScanSpec
from enet_ros.perception.settings import BY_NAME, CLASS_MAP_PROPERTIES, PARAMETERS, Settings

CLASS_MAP = 'class_map'

#: Declared by rclpy itself, or by what it creates.
_FOREIGN = ('qos_overrides.', 'use_sim_time', 'start_type_description_service')


@dataclass(frozen=True, eq=False)
class Policy:
    """What one camera's frames are treated by: swapped whole, so compared by identity."""

    settings: Settings
    drivable_lut: np.ndarray
    color_lut: np.ndarray
    drivable: DrivablePolicy
    scan: ScanSpec
    grid: GridSpec

    @classmethod
    def of(cls, settings: Settings, class_map: ClassMap) -> Policy:
        """Check what settings mean together, and build the lookup tables.

        Raises:
            ConfigError: values that do not go together; the message names them.
        """
        s = settings
        try:
            return cls(
                s, class_map.drivable_lut(), class_map.color_lut(),
                DrivablePolicy(s.drivable_connected, s.drivable_seed, s.drivable_min_area,
                               s.drivable_max_hole, s.drivable_majority),
                ScanSpec(s.scan_angle_min, s.scan_angle_max, s.scan_angle_increment,
                         s.scan_range_min, min(s.scan_range_max, s.ground_max_range)),
                GridSpec((s.grid_length, s.grid_width), s.grid_resolution,
                         (0.0, -s.grid_width / 2)))
        except ValueError as error:
            raise config.ConfigError(f'drivable.*, scan.* or grid.*: {error}') from error


def _descriptor(parameter: config.Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.description,
                                     read_only=parameter.changes == config.START)
    if parameter.choices:
        descriptor.additional_constraints = f'one of {", ".join(map(str, parameter.choices))}'
    if parameter.range and isinstance(parameter.default, float):
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=parameter.range[0], to_value=parameter.range[1])]
    elif parameter.range:
        descriptor.integer_range = [IntegerRange(
            from_value=parameter.range[0], to_value=parameter.range[1], step=1)]
    return descriptor


class NodeParameters:
    """The parameters of one node: declared here, checked as a whole, read as a policy.

    A value that cannot be used does not stop the node from being built: it is remembered, and
    :meth:`settings` raises it, so that configure fails and says why.
    """

    def __init__(self, node: Node):
        """Declare everything in :data:`enet_ros.perception.settings.PARAMETERS`."""
        self._node = node
        self._refused: dict[str, str] = {}
        self._class_map: ClassMap | None = None
        self.policies: dict[str, Policy] = {}  # a camera; empty unless configured
        for parameter in PARAMETERS:
            self._declare(parameter.name, parameter.default, _descriptor(parameter))
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, name: str, default: object, descriptor: ParameterDescriptor) -> None:
        try:
            self._node.declare_parameter(name, default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            value = self._node._parameter_overrides[name].value
            self._refused[name] = f'{name} is {value!r}, wanted {type(default).__name__}: {error}'
            try:
                if name in BY_NAME:
                    config.check_parameter(name, value)
            except ValueError as own:  # says what is wanted in our words
                self._refused[name] = str(own)
            self._node.declare_parameter(name, default, descriptor, ignore_override=True)

    def settings(self) -> Settings:
        """Return the checked values.

        Raises:
            ConfigError: a value, given at start or now, cannot be used.
        """
        for message in self._refused.values():
            raise config.ConfigError(message)
        return config.make_settings(
            {name: self._node.get_parameter(name).value for name in BY_NAME})

    def configure(self, settings: Settings, class_map: ClassMap) -> None:
        """Declare the class map of the weights, and make the policy.

        Raises:
            ClassMapError: the parameters name an unknown class, or make no usable class map.
        """
        overrides = self._class_map_overrides()
        class_map.override(overrides)
        self._class_map = class_map
        for name, color, drivable in zip(class_map.names, class_map.colors, class_map.drivable):
            for key, default in (('color', list(color)), ('drivable', drivable)):
                self._declare(f'{CLASS_MAP}.{parameter_name(name)}.{key}', default,
                              ParameterDescriptor(description=CLASS_MAP_PROPERTIES[key]))
        for camera in settings.cameras:
            for name in self._node._parameter_overrides:
                parameter = self._of_camera(camera, name)
                if parameter is not None and not self._node.has_parameter(name):
                    self._declare(name, parameter.default, _descriptor(parameter))
        for message in self._refused.values():
            raise config.ConfigError(message)
        self.policies = self._make_policies(settings, {})

    def drivable_names(self) -> tuple[str, ...]:
        """Return the names of the classes that are drivable now."""
        return self._class_map.override(self._class_map_values()).drivable_names

    def cleanup(self) -> None:
        """Forget the class map: the next weights may have another."""
        self.policies, self._class_map = {}, None
        for name in [name for name in self._node._parameters if name.startswith(f'{CLASS_MAP}.')]:
            self._refused.pop(name, None)
            self._node.undeclare_parameter(name)

    def unknown_overrides(self) -> list[str]:
        """Return a sentence for every given parameter that nothing declares, such as a typo."""
        return [f"parameter '{name}' is not known and has no effect" + ''.join(
                    f"; did you mean '{near}'?"
                    for near in difflib.get_close_matches(name, self._node._parameters, n=1))
                for name in self._node._parameter_overrides
                if not self._node.has_parameter(name) and not name.startswith(_FOREIGN)]

    def _class_map_overrides(self) -> dict[str, dict]:
        """Return the class map as given at start: class -> property -> value."""
        changes: dict[str, dict] = {}
        for name, parameter in self._node._parameter_overrides.items():
            if name.startswith(f'{CLASS_MAP}.'):
                class_name, _, key = name[len(CLASS_MAP) + 1:].rpartition('.')
                changes.setdefault(class_name or key, {})[key] = parameter.value
        return changes

    def _class_map_values(self, changed: dict[str, object] | None = None) -> dict[str, dict]:
        """Return the class map as declared, with some parameters changed."""
        values = {name: parameter.value for name, parameter in self._node._parameters.items()
                  if name.startswith(f'{CLASS_MAP}.')}
        values.update(changed or {})
        changes: dict[str, dict] = {}
        for name, value in values.items():
            _, class_name, key = name.split('.')
            changes.setdefault(class_name, {})[key] = value
        return changes

    @staticmethod
    def _of_camera(camera: str, name: str) -> config.Parameter | None:
        """Return the parameter that ``<camera>.<name>`` gives one camera a value of."""
        if not camera or not name.startswith(f'{camera}.'):
            return None
        parameter = BY_NAME.get(name[len(camera) + 1:])
        return parameter if parameter is not None and parameter.per_camera else None

    def _make_policies(self, settings: Settings, changed: dict[str, object]) -> dict[str, Policy]:
        """Return every camera's policy, with some parameters changed."""
        class_map = self._class_map.override(self._class_map_values(
            {name: value for name, value in changed.items() if name.startswith(f'{CLASS_MAP}.')}))
        shared = {parameter.name: getattr(settings, parameter.field) for parameter in PARAMETERS}
        values = {name: parameter.value for name, parameter in self._node._parameters.items()}
        values.update(changed)
        policies = {}
        for camera in settings.cameras:
            own = {parameter.name: value for name, value in values.items()
                   if (parameter := self._of_camera(camera, name)) is not None}
            policies[camera] = Policy.of(config.make_settings({**shared, **own}), class_map)
        return policies

    def _on_set(self, parameters: list[RosParameter]) -> SetParametersResult:
        """Apply a set of changes between two frames, all or none."""
        changed = {parameter.name: parameter.value for parameter in parameters}
        own = {name: value for name, value in changed.items() if name in BY_NAME}
        try:
            if not self.policies:
                for name, value in own.items():
                    config.check_parameter(name, value)
            else:
                self.policies = self._changed_policies(changed, own)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in own:
            self._refused.pop(name, None)
        return SetParametersResult(successful=True)

    def _changed_policies(self, changed: dict, own: dict) -> dict[str, Policy]:
        now = {name: self._node.get_parameter(name).value for name in BY_NAME}
        for name, value in own.items():
            same = list(np.atleast_1d(value)) == list(np.atleast_1d(now[name]))
            if BY_NAME[name].changes != config.RUNNING and not same:
                raise config.ConfigError(
                    f'{name} can change only while the node is unconfigured, for it needs another '
                    'network: deactivate and clean up, set it, then configure and activate')
        return self._make_policies(config.make_settings({**now, **own}), changed)
