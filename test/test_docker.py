"""The Dockerfiles, as far as can be told where nothing builds them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = {'Dockerfile.pc': ('jazzy', 'docs/gpu_pc.md'),
         'Dockerfile.l4t': ('humble', 'docs/jetson.md')}
#: What ros-base brings, of what package.xml names.
#: https://www.ros.org/reps/rep-2001.html, and packages of the distributions' own
IN_ROS_BASE = {'ament_cmake', 'ament_cmake_python', 'ament_index_python', 'builtin_interfaces',
               'geometry_msgs', 'launch', 'launch_ros', 'lifecycle_msgs', 'rcl_interfaces',
               'rclpy', 'rosgraph_msgs', 'rosidl_default_generators', 'rosidl_default_runtime',
               'sensor_msgs', 'std_msgs', 'tf2_msgs'}
NOT_IN_A_CONTAINER = {'rviz2', 'message_filters'}
BY_SETUP = {'python3-argcomplete', 'python3-numpy', 'python3-pil', 'python3-tqdm', 'python3-yaml'}


def instructions(name):
    """Return the instructions of a Dockerfile as (word, rest), with lines joined."""
    text = (REPOSITORY / 'docker' / name).read_text().replace('\\\n', ' ')
    return [tuple(line.split(None, 1)) for line in text.split('\n')
            if line.strip() and not line.startswith('#')]


@pytest.mark.parametrize('name', FILES)
def test_it_installs_what_package_xml_names(name):
    distro = FILES[name][0]
    text = ' '.join(rest for word, rest in instructions(name) if word == 'RUN')
    root = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
    wanted = {element.text for element in root
              if element.tag in ('depend', 'exec_depend', 'buildtool_depend')}
    for package in wanted - IN_ROS_BASE - NOT_IN_A_CONTAINER - BY_SETUP:
        apt = package if package.startswith('python3-') else (
            f'ros-{distro}-{package.replace("_", "-")}')
        assert re.search(rf'\b{apt}\b', text), apt
    assert set(re.findall(r'ros-(\w+)-', text)) <= {distro, 'archive'}
    assert f'/opt/ros/{distro}/setup.bash' in text


@pytest.mark.parametrize('name', FILES)
def test_what_it_copies_runs_and_starts_exists(name):
    words = dict(instructions(name))
    assert words['COPY'] == '. .'
    (program,) = json.loads(words['CMD'])
    assert (REPOSITORY / 'bin' / program).is_file()
    assert '. scripts/ros_env.sh' in json.loads(words['ENTRYPOINT'])[2]
    makefile = (REPOSITORY / 'Makefile').read_text()
    for target in re.findall(r'\bmake (\w+)', words['RUN']):
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), target


@pytest.mark.parametrize('name', FILES)
def test_the_page_shows_how_to_build_it(name):
    page = (REPOSITORY / FILES[name][1]).read_text()
    assert f'docker/{name}' in page
    assert 'nverified' in (REPOSITORY / 'docker' / name).read_text()


def test_the_image_and_the_page_of_a_jetson_install_the_same():
    for path in ('docker/Dockerfile.l4t', 'docs/jetson.md'):
        text = (REPOSITORY / path).read_text()
        for part in ('libcusparse_lt-linux-sbsa-0.5.2.1-archive', 'constraints/jetson.txt'):
            assert part in text, (path, part)


@pytest.mark.parametrize('name', FILES)
def test_a_container_on_the_hosts_network_shares_its_memory(name):
    page = (REPOSITORY / FILES[name][1]).read_text().replace('\\\n', ' ')
    command, = re.findall(r'^docker run .*--network host.*$', page, re.MULTILINE)
    assert '--ipc host' in command  # else messages within the machine are lost: Fast DDS #2624


def test_runs_and_environments_stay_out_of_an_image():
    ignored = (REPOSITORY / '.dockerignore').read_text().split()
    assert {'.git', '.venv*', '.colcon', 'runs'} <= set(ignored)
