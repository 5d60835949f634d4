"""What programs and tests do where only the keys of package.xml are installed."""

import shutil
import subprocess

import pytest
from support.fake_modules import hide_packages

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


def test_the_doctor_examines_a_machine_without_the_packages(tmp_path):
    done = subprocess.run(['enet-ros', 'doctor', '--seconds', '0.1'], capture_output=True,
                          env=hide_packages(tmp_path, 'openvino', 'safetensors', 'torch'),
                          text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert 'OpenVINO         not found' in done.stdout
    assert 'safetensors cannot be imported: activate the virtual environment' in done.stdout
    assert 'no node of enet_ros runs' in done.stdout
