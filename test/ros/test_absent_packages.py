"""What programs and tests do where only the keys of package.xml are installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.fake_modules import hide_packages

from enet_ros.common import requirements

pytest.importorskip('rclpy', reason='rclpy is not installed')
if not shutil.which('segment_node'):
    pytest.skip('segment_node is not on the PATH: . scripts/ros_env.sh', allow_module_level=True)

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('command', 'code', 'wanted'), [
    (['segment_node'], 1, 'segment_node: No module named '),
    (['replay_camera'], 1, 'replay_camera: No module named '),
    (['demo', '--help'], 1, 'demo: No module named '),
    (['enet-ros', 'segment', 'a.png', '--out', 'b'], 2, 'enet-ros segment: error: No module ')])
def test_a_program_without_its_packages_names_them_in_one_sentence(
        tmp_path, command, code, wanted):
    done = subprocess.run(command, env=hide_packages(tmp_path, 'safetensors', 'torch', 'cv2'),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == code and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(wanted)
    assert 'has no opencv-python-headless, safetensors, torch: activate the' in done.stderr


def test_a_package_that_is_broken_is_not_called_absent(tmp_path):
    (tmp_path / 'cv2').mkdir()
    (tmp_path / 'cv2' / '__init__.py').write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file', name='cv2')")
    done = subprocess.run(['segment_node'], env=hide_packages(tmp_path), capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert 'segment_node: libGL.so.1: cannot open' in done.stderr
    assert 'opencv-python-headless is installed in ' in done.stderr
    assert 'has no' not in done.stderr


def test_the_doctor_says_why_it_does_not_look_at_the_graph(tmp_path):
    done = subprocess.run(['enet-ros', 'doctor', '--seconds', '0.1'], capture_output=True,
                          env=hide_packages(tmp_path, 'cv2'), text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "not looked at, since No module named 'cv2'" in done.stdout
    assert 'opencv-python-headless cannot be imported: activate' in done.stdout


def test_the_packages_are_those_of_pyproject(monkeypatch):
    project = (Path(__file__).parents[2] / 'pyproject.toml').read_text()
    wanted = project.partition('\ndependencies = [')[2].partition('\n]')[0]
    names = dict(re.findall(r'"([\w-]+)[^";]*(;|")', wanted))
    assert set(requirements.REQUIREMENTS.values()) == set(names)
    assert {name for name, end in names.items() if end == ';'} == requirements.WITH_WHEELS
    monkeypatch.setattr(requirements, 'is_importable', lambda name: False)
    monkeypatch.setattr(requirements.platform, 'machine', lambda: 'armv7l')
    assert set(requirements.absent_requirements()) == set(names) - requirements.WITH_WHEELS


def test_the_doctor_examines_a_machine_without_the_packages(tmp_path):
    done = subprocess.run(['enet-ros', 'doctor', '--seconds', '0.1'], capture_output=True,
                          env=hide_packages(tmp_path, 'openvino', 'safetensors', 'torch'),
                          text=True, timeout=60)
    assert done.returncode in (1, 2), done.stderr  # 2 beside a node of another domain
    assert 'OpenVINO         not found' in done.stdout
    assert 'safetensors cannot be imported: activate the virtual environment' in done.stdout
    assert 'no node of enet_ros runs' in done.stdout
