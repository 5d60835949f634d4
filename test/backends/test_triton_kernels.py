"""The kernels of the backend triton give torch's labels, and compile for real GPUs.

No GPU is needed: test/support/triton_kernels.py says what is real there. They are marked
``tensorrt``, since they run in the same environment: ``make test-tensorrt`` runs them, and
``make test`` leaves them out.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.tensorrt_env import ROOT, set_up_environment

pytestmark = [pytest.mark.tensorrt, pytest.mark.slow, pytest.mark.timeout(300)]

CASES = ('shipped', 'shipped, 16 pixels a program', 'shipped, 64 pixels a program',
         'sizes that are no powers of two', 'the smallest frame', 'frames of one color',
         'one class', 'ReLU in the decoder', '33 classes')
CONTROLS = ('without_dilation', 'without_slopes', 'with_mirrored_taps',
            'with_bytes_of_another_order', 'without_last_bias')
TARGETS = ('sm_87, 1 frames', 'sm_90, 1 frames', 'sm_90, 32 frames')


def start(mode, report, **environment):
    """Start the program that runs or compiles the kernels."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / 'test')))
    return subprocess.Popen(
        [ROOT / '.venv-tensorrt/bin/python', 'test/support/triton_kernels.py', mode, report],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': paths, **environment})


@pytest.fixture(scope='module')
def reports(tmp_path_factory):
    """Run and compile once, side by side; give both reports."""
    set_up_environment()
    folder = tmp_path_factory.mktemp('triton')
    programs = {'run': start('run', folder / 'run', TRITON_INTERPRET='1'),
                'compile': start('compile', folder / 'compile',
                                 TRITON_CACHE_DIR=str(folder / 'cache'))}
    for program in programs.values():
        output = program.communicate(timeout=280)[0]
        assert program.returncode == 0, output
    return {mode: json.loads(Path(folder, mode).read_text()) for mode in programs}


@pytest.mark.parametrize('name', CASES)
def test_labels_and_probability_are_those_of_torch(reports, name):
    result = reports['run'][name]
    assert result['agrees'] >= 0.98 and result['probability'] <= 0.005, result


@pytest.mark.parametrize('name', CONTROLS)
def test_a_mistake_in_the_network_is_seen(reports, name):
    result = reports['run'][name]
    assert result['agrees'] <= 0.9 and result['probability'] >= 0.05, result


def test_every_case_and_control_was_run(reports):
    assert list(reports['run']) == [*CASES, *CONTROLS]


@pytest.mark.parametrize('target', TARGETS)
def test_a_frame_passes_33_kernels(reports, target):
    assert reports['compile'][target]['launches'] == 33


@pytest.mark.parametrize('target', TARGETS)
def test_every_kernel_multiplies_on_tensor_cores_and_spills_nothing(reports, target):
    kernels = reports['compile'][target]['kernels']
    assert len(kernels) >= 15
    for name, code in kernels.items():
        assert code['tensor_core'] > 0 and code['stack'] == 0, (name, code)
        assert code['registers'] <= 255 and code['shared'] <= 64 << 10, (name, code)


@pytest.mark.parametrize('target', TARGETS)
def test_no_kernel_uses_wgmma_which_was_wrong_on_a_hopper(reports, target):
    assert reports['compile']['64 pixels, 4 warps']['wgmma'] > 0  # the count sees it
    assert not any(code['wgmma'] for code in reports['compile'][target]['kernels'].values())


def test_more_frames_than_usual_need_no_other_kernels(reports):
    assert reports['compile']['more frames'] == [0] * 8
