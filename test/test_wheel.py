"""``python -m build``, and its wheel in an empty environment (``make test-wheel``)."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.absence import skip_or_fail

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(600)]
REPOSITORY = Path(__file__).resolve().parent.parent
PINS = REPOSITORY / 'constraints/bare.txt'
NEVER = ('runs/', 'test/', 'docs/', 'shared/', '.ckpt', '.pyc')
#: The wheel of torch without CUDA is of PyTorch's own index, where that is reached.
CPU_INDEX = '--extra-index-url=https://download.pytorch.org/whl/cpu'


def run(*command, **options):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          timeout=500, **options)


def empty_environment(folder):
    """Make an environment; return its python and the variables to run it with."""
    subprocess.run([sys.executable, '-m', 'venv', folder], check=True, timeout=100)
    kept = {name: value for name, value in os.environ.items()
            if name not in ('PYTHONPATH', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV')}
    return folder / 'bin', {**kept, 'PATH': f'{folder}/bin:/usr/bin:/bin'}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Build both archives as a packager does, from what git has; return their paths."""
    folder = tmp_path_factory.mktemp('build')
    source = folder / 'source'
    source.mkdir()
    archive = subprocess.run(['git', 'archive', 'HEAD'], cwd=REPOSITORY, capture_output=True)
    if archive.returncode:
        pytest.skip('this is no checkout of git')
    subprocess.run(['tar', 'x', '-C', source], input=archive.stdout, check=True)
    programs, environment = empty_environment(folder / 'tools')
    done = run(programs / 'pip', 'install', '-q', '-c', PINS, 'build', env=environment)
    if done.returncode:
        skip_or_fail(f'build cannot be installed: {done.stderr[-500:]}')
    done = run(programs / 'python', '-m', 'build', '--outdir', folder / 'dist', source,
               env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next((folder / 'dist').glob('*.whl')), next((folder / 'dist').glob('*.tar.gz'))


def test_the_archives_have_weights_and_licenses_and_nothing_of_ours(built):
    wheel = zipfile.ZipFile(built[0]).namelist()
    source = [name.partition('/')[2] for name in tarfile.open(built[1]).getnames()]
    for names in (wheel, source):
        for wanted in ('enet_ros/models/enet_camvid.safetensors', 'enet_ros/cli/main.py',
                       'enet_ros/models/enet_road.safetensors', 'enet_ros/models/LICENSE',
                       'enet_ros/models/README.md'):
            assert wanted in names
        wrong = [name for name in names if any(part in name for part in NEVER)]
        assert not wrong, wrong
    assert {'LICENSE', 'CHANGELOG.rst', 'pyproject.toml'} <= set(source)
    assert any(name.endswith('LICENSE') and '.dist-info/' in name for name in wheel)


def test_the_wheel_labels_an_image_in_an_empty_environment(built, tmp_path):
    programs, environment = empty_environment(tmp_path / 'empty')
    version = next(line for line in PINS.read_text().splitlines() if line.startswith('torch=='))
    done = run(programs / 'pip', 'install', '-q', f'{version}+cpu', CPU_INDEX, env=environment)
    if done.returncode:
        skip_or_fail(f'torch cannot be installed: {done.stderr[-500:]}')
    done = run(programs / 'pip', 'install', '-q', '-c', PINS, built[0], env=environment)
    assert done.returncode == 0, done.stderr
    script = ('import cv2, enet_ros; from enet_ros.scene.road_scene import RoadScene; '
              'cv2.imwrite("street.png", RoadScene(320, 192).render(1.0)[0][..., ::-1]); '
              'print(enet_ros.Segmenter, enet_ros.__file__)')
    done = run(programs / 'python', '-c', script, cwd=tmp_path, env=environment)
    assert done.returncode == 0 and str(tmp_path) in done.stdout, done.stderr
    assert 'segment' in run(programs / 'enet-ros', '--help', env=environment).stdout
    done = run(programs / 'enet-ros', 'segment', 'street.png', '--out', 'out',
               '--resolution', '320x192', cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out').is_dir() and list((tmp_path / 'out').rglob('*.png'))
