"""The slots between callbacks and network: newest frames, cameras in turns."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from enet_ros.perception.frame import FrameInFlight
from enet_ros.perception.pipeline import FrameSlots


def frame(camera, name):
    """A received frame, whose header is its name."""
    return FrameInFlight(camera, name, None)


def names(taken):
    return [(one.camera, one.header) for one in taken]


def test_a_newer_frame_takes_the_place_of_one_that_waits():
    slots = FrameSlots(1, 1)
    assert not slots.put(frame(0, 'old'))
    assert slots.put(frame(0, 'new'))
    assert names(slots.take()) == [(0, 'new')]


def test_cameras_take_turns_when_one_frame_is_taken_at_once():
    slots = FrameSlots(3, 1)
    order = []
    for _ in range(6):
        for index in range(3):  # all of them send faster than frames are taken
            slots.put(frame(index, 'x'))
        order += [one.camera for one in slots.take()]
    assert order == [0, 1, 2, 0, 1, 2]


def test_cameras_of_one_batch_take_turns_at_being_the_first_to_be_published():
    slots, first = FrameSlots(3, 3), []
    for _ in range(4):
        for index in range(3):
            slots.put(frame(index, 'x'))
        first.append(slots.take()[0].camera)
    assert first == [0, 1, 2, 0]


@given(st.integers(1, 5), st.integers(1, 6), st.lists(st.integers(0, 4), max_size=40))
def test_no_frame_is_lost_or_taken_twice_and_no_stream_starves(count, most, puts):
    slots, waiting, overtaken, served = FrameSlots(count, most), {}, 0, []
    for step, index in enumerate(puts):
        index %= count
        assert slots.put(frame(index, step)) == (index in waiting)
        overtaken += index in waiting
        waiting[index] = step
        if step % 3 == 2:
            taken = names(slots.take())
            assert len(taken) == min(most, len(waiting))
            assert all(waiting.pop(i) == step_of for i, step_of in taken)
            served += taken
    assert len(served) + overtaken + len(slots.clear()) == len(puts)
    assert slots.take(wait=False) == []


def test_closed_slots_give_nothing():
    slots = FrameSlots(2, 1)
    found = []
    thread = threading.Thread(target=lambda: found.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(5.0)
    assert found == [None]
    assert slots.take(wait=False) is None


def test_empty_slots_give_nothing_when_nobody_waits():
    assert FrameSlots(2, 1).take(wait=False) == []
