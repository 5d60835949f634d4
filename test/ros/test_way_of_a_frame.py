"""The way of a frame through the node: which functions it enters, on which thread, in which file.

A profiler notes every function of the package that is entered while one frame goes from the
receiving thread to the topic. Only ``~/labels`` is requested.
"""

import math
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import enet_ros  # noqa: E402

pytestmark = pytest.mark.ros
PACKAGE = Path(enet_ros.__file__).resolve().parent
ARCHITECTURE = PACKAGE.parent / 'docs' / 'architecture.md'
MOST_FUNCTIONS = 25
THREADS = {'receive frames', 'segment frames', 'publish frames'}
#: It calls the steps, so every frame returns to it.
CALLER = 'perception/pipeline.py'
#: Comprehensions are functions only for the interpreter, and only before Python 3.12.
COMPREHENSIONS = {'<listcomp>', '<setcomp>', '<dictcomp>'}


class Recorder:
    """Notes (thread, file, function, whether it is an entry) of what is entered and left."""

    def __init__(self):
        self.events, self.recording = [], False

    def __call__(self, python_frame, event, argument):
        if threading.current_thread().name not in THREADS:
            sys.setprofile(None)  # for this thread, which would only become slow
            return
        code = python_frame.f_code
        if not self.recording or event not in ('call', 'return') \
                or code.co_name in COMPREHENSIONS:
            return
        path = Path(code.co_filename).resolve()
        if path.is_relative_to(PACKAGE):
            self.events.append((threading.current_thread().name,
                                path.relative_to(PACKAGE).as_posix(), code.co_qualname
                                if sys.version_info >= (3, 11) else code.co_name,
                                event == 'call'))


@pytest.fixture
def recorder(monkeypatch):
    # The receiving thread looks at events twice a second, whether or not a frame comes.
    monkeypatch.setattr('enet_ros.ros.receiver.EVENTS_PERIOD_SEC', math.inf)
    # Once a second the publishing thread looks longer at a frame.
    monkeypatch.setattr('enet_ros.perception.suspicion.LOOK_PERIOD_SEC', math.inf)
    recorder = Recorder()
    threading.setprofile(recorder)
    yield recorder
    threading.setprofile(None)


def test_a_file_that_is_entered_again_or_called_back_is_found():
    calls = [('t', file, 'f', is_entry) for file, is_entry in (
        ('a', True), ('b', True), ('a', True), ('a', False), ('b', False), ('b', True),
        ('b', False), ('a', False))]
    assert [file for _, file, _ in files_entered_again(calls)] == ['a', 'b']


def follow_frame(bench, recorder, road_frame, encoding):
    """Send frames until all runs as ever, then record one."""
    node = bench()
    node.listen('labels')
    for column in (1, 2, 3):  # A frame that is not the same as one of the last is a normal one.
        node.reply(node.image(np.roll(road_frame, column, axis=1), encoding), 'labels')
    health = node.camera.health
    recorder.recording = True
    node.reply(node.image(road_frame, encoding), 'labels')
    node.wait(lambda: health.published == 4, 'the end of the frame')
    recorder.recording = False
    return recorder.events


def entered(events):
    """Return the functions that were entered, each once, in order: (file, function)."""
    return list(dict.fromkeys((file, name) for _, file, name, is_entry in events if is_entry))


def files_entered_again(events):
    """Return (thread, file, function) of entries to a file that was left or is called back."""
    stacks, left, again = {}, set(), []
    for thread, file, name, is_entry in events:
        stack = stacks.setdefault(thread, [])
        if is_entry:
            is_called_back = file in stack and stack[-1] != file
            if file != CALLER and (is_called_back or (thread, file) in left):
                again.append((thread, file, name))
            stack.append(file)
        elif stack:  # else it was entered before the recording began
            stack.pop()
            if file not in stack:
                left.add((thread, file))
    return again


def listed_functions():
    """Return the functions that docs/architecture.md lists: (file, function)."""
    section = ARCHITECTURE.read_text().split('## The way of a frame')[1].split('\n## ')[0]
    return re.findall(r'^\| \d+ \|[^|]*\| `([^`]+)` \| `([^`]+)` \|', section, re.MULTILINE)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
def test_a_frame_for_labels_enters_few_functions_and_each_file_once(
        bench, recorder, road_frame, encoding):
    events = follow_frame(bench, recorder, road_frame, encoding)
    functions = entered(events)
    print(*(f'{file} {name}' for file, name in functions), sep='\n')
    assert len(functions) <= MOST_FUNCTIONS
    assert files_entered_again(events) == []
    assert sorted(functions) == sorted(listed_functions())
