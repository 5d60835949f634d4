"""Every graph converts into one TensorRT engine, proved without a GPU in its own environment."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNAVAILABLE = 3  # the exit code of scripts/tensorrt_env.sh if this machine lacks what it needs

pytestmark = pytest.mark.slow


def run(*command, timeout_sec):
    """Run a command outside the main environment's Python path."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_sec)


@pytest.fixture(scope='module')
def dry_run(tmp_path_factory):
    """Run dry_run.py of test/support once; give its JSON, its output and its exit code."""
    setup = run('scripts/tensorrt_env.sh', timeout_sec=300)
    if setup.returncode == UNAVAILABLE:
        pytest.skip(setup.stdout.strip())
    assert setup.returncode == 0, setup.stdout
    report = tmp_path_factory.mktemp('tensorrt') / 'report.json'
    done = run('.venv-tensorrt/bin/python', 'test/support/tensorrt_dry_run/dry_run.py', '--json',
               report, timeout_sec=300)
    assert report.exists(), done.stdout
    print(done.stdout)
    return {**json.loads(report.read_text()), 'output': done.stdout, 'code': done.returncode}


def test_every_operator_converts_into_one_engine(dry_run):
    assert {row['graph'] for row in dry_run['graphs']} == {
        'network', 'labels', 'labels and confidence'}
    for row in dry_run['graphs']:
        assert row['operators'] > 100, row
        assert row['supported'] == row['operators'], row
        assert row['engines'] == 1, row
        assert row['converts'], row
    assert dry_run['code'] == 0, dry_run['output']


def test_all_arithmetic_is_half_precision(dry_run):
    assert [row['float_types'] for row in dry_run['graphs']] == [['float16']] * 5


def test_usual_pooling_is_refused_for_its_operators(dry_run):
    row = dry_run['controls'][0]
    assert not row['converts']
    assert row['supported'] < row['operators']
    assert row['engines'] > 1
    assert {'max_pool2d_with_indices', 'max_unpool2d'} <= {
        name.split('.')[-2] for name in row['unsupported'] if 'pool' in name}


def test_other_controls_are_refused_for_what_the_dry_run_overlooks(dry_run):
    shuffled, single = dry_run['controls'][1:]
    assert shuffled['supported'] == shuffled['operators'] and not shuffled['converts']
    assert shuffled['uint8_users'] == ['aten.permute.default']
    assert single['supported'] == single['operators'] and not single['converts']
    assert single['float_types'] == ['float32']
