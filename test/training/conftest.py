"""A data set that a network learns in moments, and what an export of a labeling tool needs."""

import json

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
    """Return a data set of two classes that differ in brightness."""
    root = tmp_path_factory.mktemp('data')
    (root / 'classes.json').write_text(json.dumps(
        [{'name': 'path', 'drivable': True}, {'name': 'grass'}]))
    rng = np.random.default_rng(0)
    for split, count in (('train', 6), ('val', 5)):  # 5: a validation of two batches
        for folder in (split, f'{split}annot'):
            (root / folder).mkdir()
        for i in range(count):
            labels = np.kron(rng.integers(0, 2, (2, 3)), np.ones((16, 16))).astype(np.uint8)
            frame = np.repeat(labels[..., None] * 150 + 40, 3, axis=2)
            cv2.imwrite(str(root / split / f'{i}.png'), frame)
            cv2.imwrite(str(root / f'{split}annot' / f'{i}.png'), labels)
    return root


@pytest.fixture(scope='module')
def drawn():
    """Return name -> (frame, labels) of two drives on the synthetic street."""
    from support.labeling_tools import street
    return street(6)


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder for an export."""
    (tmp_path / 'export').mkdir()
    return tmp_path / 'export'
