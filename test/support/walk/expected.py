"""What the walked node has to be: its state, its parameters, its network."""

from __future__ import annotations

import time

import numpy as np
from support.walk import frames, values

UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = 1, 2, 3, 4
STATES = {1: 'unconfigured', 2: 'inactive', 3: 'active', 4: 'finalized'}
FORGET_SEC = 5.0  # after which no frame with the settings before is on its way


class Expected:
    """What the node has to be now.

    Attributes:
        state: Its state.
        values: Its parameters by name.
        loose_until_sec: Until when votes or closed holes may differ from the labels, by
            ``time.monotonic``.
    """

    def __init__(self, start_values):
        """Expect an unconfigured node with these parameters."""
        self.state, self.loose_until_sec = UNCONFIGURED, 0.0
        self.values, self._start_values = dict(start_values), dict(start_values)

    @property
    def label(self):
        """The name of the state."""
        return STATES[self.state]

    def enter(self, state, values_now):
        """Expect another state.

        Args:
            state: The state.
            values_now: The parameters of the node, with the class map that configure declares.
        """
        was, self.state = self.state, state
        if state in (UNCONFIGURED, FINALIZED):
            self.values = {name: value for name, value in self.values.items()
                           if not name.startswith('class_map.')}
        elif was == UNCONFIGURED:
            self.values.update({name: value for name, value in values_now.items()
                                if name.startswith('class_map.')})

    def changed_values(self):
        """Return the pairs that bring the parameters back to those of the start."""
        return [(name, value) for name, value in self._start_values.items()
                if self.values.get(name) != value]

    def is_loose(self):
        """Tell whether votes or closed holes may be in a mask that comes now."""
        return time.monotonic() < self.loose_until_sec

    def refusal(self):
        """Return why configure has to fail, or ''."""
        if self.values['scan.range_min'] >= self.values['scan.range_max']:
            return 'scan.range_min is beyond scan.range_max'
        return self.reference().refusal

    def reference(self):
        """Return what the configured network says in this process."""
        return frames.reference(self.values['weights'], tuple(self.values['resolution']),
                                self.values['backend'], self.values['precision'])

    def is_taken(self, name, value):
        """Tell whether the node has to take a value."""
        return values.is_taken(name, value, configured=self.state != UNCONFIGURED,
                               current=self.values)

    def loosen(self, changes):
        """Judge masks less strictly while votes or closed holes may be in them."""
        names = {'drivable.majority': 1, 'drivable.max_hole': 0.0, values.PAVEMENT: False}
        if any(name in names for name, _ in changes) or any(
                self.values.get(name, plain) != plain for name, plain in names.items()):
            self.loose_until_sec = time.monotonic() + FORGET_SEC

    def drivable(self):
        """Return which label is drivable, (256,) bool."""
        lut = np.zeros(256, bool)
        class_map = self.reference().class_map
        lut[:len(class_map)] = class_map.drivable
        if values.PAVEMENT in self.values:
            lut[class_map.names.index('Pavement')] = self.values[values.PAVEMENT]
        return lut
