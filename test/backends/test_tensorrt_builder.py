"""The real TensorRT builder accepts every graph in half precision, and refuses the controls.

No GPU is needed: test/support/tensorrt_builder.py says what is real there. The builds are marked
``tensorrt``; ``make test-tensorrt`` runs them and ``make test`` leaves them out.
"""

import json
import os
import shutil
import stat
import subprocess

import pytest
from support.tensorrt_builder import CONTROLS, ENGINE_CASES
from support.tensorrt_env import (
    NOT_IN_REGISTRY,
    ROOT,
    SCRIPT,
    UNAVAILABLE,
    check_setup,
    set_up_environment,
)

#: Of every graph: 86 convolutions and 2 deconvolutions. The last layer is a matrix product.
CONVOLUTIONS = {'CONVOLUTION HALF': 86, 'DECONVOLUTION HALF': 2}


def run(*command, timeout_sec):
    """Run a command with this package, and without the main environment's other paths."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=timeout_sec,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    """Build everything once; give the records of the builds by their names."""
    set_up_environment()
    report = tmp_path_factory.mktemp('tensorrt') / 'report.json'
    done = run('.venv-tensorrt/bin/python', 'test/support/tensorrt_builder.py', report,
               timeout_sec=300)
    assert done.returncode == 0, done.stdout
    records = json.loads(report.read_text())
    for name, record in records.items():
        outcome = record['error'][:200] or f'{record["engine_bytes"] / 1e6:.1f} MB'
        print(f'\n{name} ({record["seconds"]} s): {outcome}', end='')
    return records


def builds(function):
    """Mark a test that wants the records of the builds."""
    for mark in (pytest.mark.tensorrt, pytest.mark.slow, pytest.mark.timeout(300)):
        function = mark(function)
    return function


every_engine = pytest.mark.parametrize('case', ENGINE_CASES, ids=lambda case: case.name)


@builds
@every_engine
def test_the_whole_graph_becomes_one_engine(records, case):
    record = records[case.name]
    assert not record['error'] and not record['messages'], record
    assert record['engine_bytes'] > 364_712 * 2  # the weights in half precision are in it


@builds
@every_engine
def test_every_convolution_is_in_half_precision(records, case):
    layers = records[case.name]['layers']
    assert {name: count for name, count in layers.items()
            if 'CONVOLUTION' in name} == CONVOLUTIONS
    assert not [name for name in layers if name.endswith(' FLOAT')]


@builds
@every_engine
def test_the_engine_takes_float16_and_gives_int32_labels(records, case):
    record, (width, height) = records[case.name], case.resolution
    assert record['inputs'] == [['HALF', [case.batch, height, width, 3]]]
    assert record['outputs'] == [[kind, [case.batch, height, width]] for kind in (
        ['INT32', 'HALF'] if case.confidence else ['INT32'])]


@builds
def test_usual_pooling_is_refused_for_its_operators(records):
    record = records['usual pooling']
    assert record['error'].startswith('AssertionError: require_full_compilation=True')
    assert 'max_pool2d_with_indices' in record['error'] and 'max_unpool2d' in record['error']


@builds
def test_uint8_that_is_moved_before_the_cast_is_refused(records):
    record = records['uint8 moved before the cast']
    assert record['error'] and not record['engine_bytes']
    assert 'first input has type UInt8 but must have type Float' in record['messages'][0]


@builds
def test_a_float32_graph_is_refused(records):
    record = records['float32']
    assert record['error'] == 'BuildError: of the convolutions are 88 float, wanted only half'


@builds
def test_every_case_and_control_was_built(records):
    assert list(records) == [case.name for case in ENGINE_CASES] + list(CONTROLS)


# The environment where it cannot be had


@pytest.fixture
def set_up(tmp_path):
    """Run a copy of the script with a Python whose virtual environments have a pip that fails."""
    shutil.copytree(ROOT / 'constraints', tmp_path / 'constraints')
    (tmp_path / 'scripts').mkdir()
    shutil.copy(ROOT / SCRIPT, tmp_path / SCRIPT)
    python = tmp_path / 'python'

    def run_script(pip_message):
        python.write_text(f"""#!/bin/sh
[ "$1" = -c ] && echo 3.11 && exit
mkdir -p "$4/bin"  # -m venv --clear FOLDER
printf '#!/bin/sh\\necho "{pip_message}"; exit 1\\n' > "$4/bin/pip"
chmod +x "$4/bin/pip"
""")
        python.chmod(stat.S_IRWXU)
        return subprocess.run(['bash', tmp_path / SCRIPT], text=True, capture_output=True,
                              timeout=60, env={**os.environ, 'PYTHON': str(python)})

    return run_script


NO_SUCH_PACKAGE = 'ERROR: No matching distribution found for torch'


@pytest.mark.parametrize(('pip_message', 'returncode', 'reason'), [
    (NO_SUCH_PACKAGE, NOT_IN_REGISTRY, 'the registry does not have'),
    (f'WARNING: Retrying after connection broken\n{NO_SUCH_PACKAGE}', UNAVAILABLE,
     'pip cannot install'),
    ('ERROR: no space left on device', UNAVAILABLE, 'pip cannot install'),
])
def test_the_script_tells_a_missing_package_from_other_trouble(set_up, pip_message, returncode,
                                                               reason):
    done = set_up(pip_message)
    assert done.returncode == returncode, done.stderr
    assert f'tensorrt_env: {reason}' in done.stderr


@pytest.mark.parametrize(('returncode', 'in_ci', 'outcome'), [
    (UNAVAILABLE, False, pytest.skip.Exception), (UNAVAILABLE, True, pytest.fail.Exception),
    (NOT_IN_REGISTRY, False, pytest.skip.Exception),
    (NOT_IN_REGISTRY, True, pytest.skip.Exception), (1, False, AssertionError)])
def test_ci_excuses_only_what_the_registry_lacks(returncode, in_ci, outcome):
    outcomes = (pytest.fail.Exception, pytest.skip.Exception, AssertionError)
    with pytest.raises(outcomes, match='the reason') as raised:  # a skip that escapes hides all
        check_setup(returncode, 'the reason', fail=in_ci)
    assert raised.type is outcome
