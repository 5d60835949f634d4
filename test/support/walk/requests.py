"""Steps of the walk that ask something of the node: transitions and parameters."""

from __future__ import annotations

from support.walk import values
from support.walk.expected import ACTIVE, FINALIZED, INACTIVE, UNCONFIGURED
from support.walk.process import WalkFailed

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
#: (state, transition) -> state, for every transition that the design of ROS 2 allows
ALLOWED = {(UNCONFIGURED, CONFIGURE): INACTIVE, (INACTIVE, CLEANUP): UNCONFIGURED,
           (INACTIVE, ACTIVATE): ACTIVE, (ACTIVE, DEACTIVATE): INACTIVE,
           (UNCONFIGURED, 5): FINALIZED, (INACTIVE, 6): FINALIZED, (ACTIVE, 7): FINALIZED}
SHUTDOWN = {UNCONFIGURED: 5, INACTIVE: 6, ACTIVE: 7}
IMPOSSIBLE = [0, 8, 9, 10, 11, 15, 30, 31, 40, 50, 60, 61, 62, 99, 200, 255]


class Requests:
    """Asks the node, and checks its answers."""

    def __init__(self, outside, node, expected):
        """Ask over DDS; see :class:`support.walk.walk.Walk`."""
        self._outside, self._node, self._expected = outside, node, expected

    def change_by_chance(self, walk):
        """Ask for a transition, possible or not."""
        possible = [number for state, number in ALLOWED
                    if state == self._expected.state and number <= DEACTIVATE]
        upward = any(ALLOWED[self._expected.state, number] > self._expected.state
                     for number in possible)
        number = (walk.choice(possible) if walk.random() < (0.7 if upward else 0.3) else
                  walk.choice([*range(1, 5), *IMPOSSIBLE]))
        return self.change(number)

    def change(self, number):
        """Ask for a transition, and check the answer."""
        target = ALLOWED.get((self._expected.state, number))
        reason = self._expected.refusal() if target == INACTIVE and number == CONFIGURE else ''
        answer = self._outside.end(self._outside.request_change(number), f'transition {number}',
                                   self._node.check).success
        if answer != (target is not None and not reason):
            raise WalkFailed(f'transition {number} from {self._expected.label} was answered '
                             f'{answer}; {reason or "no reason is known"}; the node said:\n'
                             f'{self._node.tail(8)}')
        if answer:
            self._enter(target)
        return f'transition {number}: {answer}'

    def _enter(self, state):
        self._expected.enter(state, self._outside.parameters(self._node.check))

    def set_by_chance(self, walk):
        """Set one parameter, to a value that is taken or not."""
        return self.request([values.choose(walk, refused=walk.random() < 0.4)], atomically=False)

    def set_together(self, walk):
        """Set a few parameters in one request."""
        changes = [values.choose(walk, refused=walk.random() < 0.3) for _ in range(3)]
        changes = list(dict(reversed(changes)).items())
        return self.request(changes, atomically=walk.random() < 0.5)

    def set_back(self, walk):
        """Set what can make configure fail back, else a walk can stay unconfigured for long."""
        changes = [(name, value) for name, value in self._expected.changed_values()
                   if name in ('weights', 'backend', 'precision', 'scan.range_min')]
        return self.request(changes, atomically=False) if changes else 'nothing to set back'

    def request(self, changes, *, atomically):
        """Set parameters, one by one or all or none, and check the answers."""
        self._expected.loosen(changes)
        result = self._outside.end(self._outside.request_set(changes, atomically=atomically),
                                   'set_parameters', self._node.check)
        answers = ([result.result] * len(changes) if atomically else result.results)
        taken = [self._expected.is_taken(name, value) for name, value in changes]
        if atomically:
            taken = [all(taken)] * len(changes)
        for (name, value), is_taken, answer in zip(changes, taken, answers):
            if answer.successful != is_taken:
                raise WalkFailed(f'{name} = {value!r} was answered {answer}, wanted {is_taken} '
                                 f'while {self._expected.label}')
            if not answer.successful and not 10 < len(answer.reason) < 1000:
                raise WalkFailed(f'{name} = {value!r}: no reason was given: {answer.reason!r}')
            if answer.successful:
                self._expected.values[name] = value
        return f'{"all or none of " if atomically else ""}' + ', '.join(
            f'{name} = {value!r}: {answer}' for (name, value), answer in zip(changes, taken))

    def burst(self, walk):
        """Ask for several things at once. Their answers have to fit the order of the requests."""
        numbers = [walk.choice([1, 2, 3, 4, 3, 99]) for _ in range(4)]
        change = [('overlay_opacity', walk.choice([0.25, 0.75, values.NAN]))]
        futures = [self._outside.request_change(number) for number in numbers]
        setting = self._outside.request_set(change, atomically=False)
        answers = [self._outside.end(future, 'a burst', self._node.check).success
                   for future in futures]
        is_set = self._outside.end(setting, 'a burst', self._node.check).results[0].successful
        for number, answer in zip(numbers, answers):
            target = ALLOWED.get((self._expected.state, number))
            if answer and target is None:
                raise WalkFailed(f'transition {number} was answered True in the state '
                                 f'{self._expected.label} of the burst {numbers}: {answers}')
            if answer:
                self._enter(target)
        if is_set != (change[0][1] == change[0][1]):
            raise WalkFailed(f'{change} was answered {is_set} in a burst')
        self._expected.values.update(change if is_set else [])
        return f'burst {numbers}: {answers}, {change}: {is_set}'

    def check(self):
        """Check that the node answers, is where it has to be, and has the values that it has to.

        Raises:
            WalkFailed: It does not.
        """
        self._node.check()
        state = self._outside.state(self._node.check)
        if state != self._expected.state:
            raise WalkFailed(f'the node is {state}, wanted {self._expected.state} '
                             f'({self._expected.label})')
        now = self._outside.parameters(self._node.check)
        differing = {name: (now.get(name), self._expected.values.get(name))
                     for name in now.keys() | self._expected.values.keys()
                     if now.get(name) != self._expected.values.get(name)
                     and not name.startswith('qos_overrides.')}
        if differing:
            raise WalkFailed(f'parameters (node, wanted): {differing}')
        if self._outside.problems:
            raise WalkFailed('; '.join(self._outside.problems))
