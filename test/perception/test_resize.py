"""Resizing of frames and of maps of labels."""

import numpy as np

from enet_ros.perception.resize import resize_frame, resize_labels

COLUMNS = np.arange(6, dtype=np.uint8) * 40


def test_a_frame_is_resized_bilinearly_from_pixel_center_to_pixel_center():
    frame = np.repeat(np.array([[0, 100]], np.uint8)[..., None], 3, 2)
    assert resize_frame(frame, (4, 1))[0, :, 0].tolist() == [0, 25, 75, 100]
    frame = np.tile(COLUMNS[:, None], (4, 1, 3))
    assert resize_frame(frame, (2, 4))[0, :, 0].tolist() == [40, 160]  # only the nearest two count


def test_labels_of_the_size_that_is_wanted_are_taken_as_they_are_or_copied():
    labels, out = np.tile(COLUMNS, (4, 1)), np.zeros((4, 6), np.uint8)
    assert resize_labels(labels, (6, 4)) is labels
    assert resize_labels(labels, (6, 4), out) is out
    assert np.array_equal(out, labels)


def test_labels_of_swapped_width_and_height_are_resized():
    labels = np.tile(COLUMNS, (4, 1))
    assert resize_labels(labels, (4, 6)).shape == (6, 4)
