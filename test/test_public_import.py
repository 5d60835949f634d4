"""``from enet_ros import Segmenter`` is the public import, and it is lazy."""

import subprocess
import sys

import pytest


def run(code, *options):
    """Run code in an interpreter of its own; return what it prints."""
    done = subprocess.run([sys.executable, *options, '-c', code], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_loads_neither_torch_nor_opencv():
    assert run('import sys, enet_ros\n'
               "print(sorted({'torch', 'cv2', 'numpy', 'openvino'} & set(sys.modules)))") == '[]'


def test_the_public_name_is_the_segmenter():
    assert run('from enet_ros import Segmenter; print(Segmenter.__module__)', '-W', 'error'
               ) == 'enet_ros.perception.segmenter'


def test_a_name_that_is_not_there_is_an_attribute_error():
    import enet_ros
    with pytest.raises(AttributeError, match="'enet_ros' has no attribute 'Segmentor'"):
        enet_ros.Segmentor  # noqa: B018


def test_the_former_module_forwards_and_warns():
    assert run('import warnings\n'
               "with warnings.catch_warnings(record=True) as caught:\n"
               "    warnings.simplefilter('always')\n"
               '    from enet_ros.segmenter import Segmenter, check_resolution\n'
               'import enet_ros\n'
               'assert Segmenter is enet_ros.Segmenter\n'
               'print(*(w.message for w in caught if w.category is DeprecationWarning\n'
               "        and 'enet_ros' in str(w.message)))\n"
               ) == ('enet_ros.segmenter has moved to enet_ros.perception.segmenter; for the '
                     'public name write: from enet_ros import Segmenter')
