"""The set-up script on machines that lack something: one clear message each."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from support.absence import skip_or_fail

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def poor_machine(tmp_path):
    """A copy of the scripts, and a PATH on which one can take tools away or replace them."""
    for part in ('scripts', 'constraints', 'pyproject.toml', 'package.xml', 'CMakeLists.txt'):
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    tools = tmp_path / 'tools'
    tools.mkdir()
    for tool in ('bash', 'sh', 'env', 'dirname', 'sed', 'uname', 'printf', 'mkdir', 'cat', 'flock',
                 'sha256sum', 'readlink', 'tail', 'python3.11', 'python3', 'c++', 'g++', 'make'):
        found = shutil.which(tool)
        if found:
            (tools / tool).symlink_to(Path(found).resolve() if 'python' not in tool else found)

    def replace(tool, script=None):
        (tools / tool).unlink(missing_ok=True)
        if script:
            (tools / tool).write_text(f'#!/bin/sh\n{script}\n')
            (tools / tool).chmod(stat.S_IRWXU)

    def run(**environment):
        return subprocess.run([tools / 'bash', tmp_path / 'scripts' / 'setup.sh'], text=True,
                              env={'PATH': str(tools), 'HOME': os.environ.get('HOME', '/'),
                                   **environment}, capture_output=True, timeout=60)

    return replace, run


@pytest.mark.parametrize(('missing', 'script', 'message'), [
    (['c++', 'g++', 'clang++'], None, 'found no C++ compiler, wanted one to build the messages: '
                                      'apt install g++ make'),
    (['uname'], 'echo Linux aarch64', 'this is Linux aarch64, wanted Linux x86_64'),
    (['python3.11', 'python3', 'python'], 'echo Python 3.13.0',
     'found Python 3.13.0, wanted CPython 3.11'),
])
def test_what_is_missing_is_said_in_one_message(poor_machine, missing, script, message):
    replace, run = poor_machine
    for tool in missing:
        replace(tool, script)
    done = run()
    assert done.returncode == 1
    assert message in ' '.join(done.stderr.split())
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('name', ['jürgen', 'enet_ros (1)', "it's", 'a$b', '[x]', 'a:b'])
def test_a_path_in_which_the_messages_cannot_be_built_is_refused(tmp_path, name):
    shutil.copytree(REPOSITORY / 'scripts', tmp_path / name / 'scripts')
    done = subprocess.run(['bash', tmp_path / name / 'scripts' / 'setup.sh'], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 1
    assert f"the checkout is in '{tmp_path / name}', wanted a path of ASCII" in done.stderr


ROS = {'ROS_DISTRO': 'humble', 'AMENT_PREFIX_PATH': '/opt/ros/humble'}


def test_a_sourced_distribution_is_recorded_and_followed(poor_machine, tmp_path):
    replace, run = poor_machine
    replace('python3', 'echo "No module named rclpy" >&2; exit 1')
    for environment in (ROS, {}):  # the second shell has nothing sourced
        done = run(**environment)
        assert done.returncode == 1
        assert 'rosdep install --from-paths . --ignore-src -r -y' in done.stderr
    assert (tmp_path / '.colcon' / 'platform').read_text() == 'ros\n'
    recorded = (tmp_path / '.colcon' / 'ros_environment.sh').read_text()
    assert 'export ROS_DISTRO=humble' in recorded


def test_the_wheels_of_another_checkout_are_no_distribution(poor_machine, tmp_path):
    replace, run = poor_machine
    replace('uname', 'echo Linux aarch64')
    assert 'wanted Linux x86_64' in run(**ROS, _ROS_WHEELS_BOOTSTRAP_COMPLETE='1').stderr
    assert (tmp_path / '.colcon' / 'platform').read_text() == 'bare\n'


@pytest.fixture
def shimmed_checkout(tmp_path):
    """A checkout whose set-up installs nothing, and a PATH whose python3.11 is a shim of pyenv."""
    real = shutil.which('python3.11')
    if not real:
        pytest.skip('python3.11 is not installed')
    real = subprocess.run([real, '-c', 'import os, sys; print(os.path.realpath('
                                       'sys._base_executable))'],
                          capture_output=True, text=True, check=True).stdout.strip()
    for part in ('scripts', 'constraints', 'pyproject.toml', 'package.xml', 'CMakeLists.txt',
                 'msg', 'bin'):
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    for part in ('enet_ros', 'launch', 'config', 'examples', 'docs', 'tools'):
        (tmp_path / part).mkdir()
    subprocess.run([real, '-m', 'venv', '--without-pip', tmp_path / '.venv'], check=True)
    (tmp_path / '.venv' / 'bin' / 'python').unlink()
    for path, script in (('tools/python3.11', f'exec {real} "$@"'), ('tools/colcon', ''),
                         ('.venv/bin/python', '')):  # this one is pip, to the script
        (tmp_path / path).write_text(f'#!/bin/sh\n{script}\n')
        (tmp_path / path).chmod(stat.S_IRWXU)
    return tmp_path


@pytest.mark.skipif(os.uname().machine != 'x86_64', reason='the wheels are for x86_64')
def test_plain_shells_and_sourced_ones_set_up_the_same(shimmed_checkout):
    environment = {'PATH': f'{shimmed_checkout}/tools:/usr/bin:/bin',
                   'HOME': os.environ.get('HOME', '/')}
    said = [subprocess.run(['bash', '-c', command], cwd=shimmed_checkout, env=environment,
                           capture_output=True, text=True, check=True, timeout=60).stdout
            for command in ('scripts/setup.sh', '. scripts/ros_env.sh && scripts/setup.sh',
                            'scripts/setup.sh')]
    assert 'installing packages' in said[0] and 'building the package' in said[0]
    assert said[1:] == ['', '']


def test_an_unknown_extra_names_all_that_can_be_given(shimmed_checkout):
    done = subprocess.run(['bash', 'scripts/setup.sh', 'nosuch'], cwd=shimmed_checkout, text=True,
                          env={'PATH': f'{shimmed_checkout}/tools:/usr/bin:/bin', 'HOME': '/'},
                          capture_output=True, timeout=60)
    assert done.returncode == 1 and 'unknown extra nosuch, wanted some of test, dev' in done.stderr
    assert 'gpu, or --runtime alone' in done.stderr


@pytest.fixture
def apt_machine(shimmed_checkout):
    """A set-up on a machine whose distribution has some NumPy; returns the run and pip's log."""
    modules, log = shimmed_checkout / 'tools', shimmed_checkout / 'pip'
    (shimmed_checkout / '.venv/bin/python').write_text(
        f'#!/bin/sh\ncase "$*" in *install*) echo "$*" >> {log}; cat >> {log};; esac\n')
    for name in ('rclpy', 'cv2'):
        (modules / f'{name}.py').touch()
    (modules / 'python3').write_text(
        f'#!/bin/sh\nPYTHONPATH={modules} exec {modules}/python3.11 "$@"\n')
    (modules / 'python3').chmod(stat.S_IRWXU)

    def run(distribution, numpy, *extras):
        (modules / 'numpy.py').write_text(f"__version__ = '{numpy}'\n")
        for stamp in (shimmed_checkout / '.venv').glob('enet_ros_packages*'):
            stamp.unlink()
        environment = {'PATH': f'{modules}:/usr/bin:/bin', 'HOME': os.environ.get('HOME', '/'),
                       'ROS_DISTRO': distribution, 'AMENT_PREFIX_PATH': '/opt/ros/none'}
        done = subprocess.run(['bash', 'scripts/setup.sh', *extras], cwd=shimmed_checkout,
                              env=environment, capture_output=True, text=True, timeout=60)
        return done, log.read_text() if log.exists() else ''
    return run


def test_the_viewer_is_installed_beside_the_numpy_of_a_distribution(apt_machine):
    done, log = apt_machine('jazzy', '1.26.4', 'view')
    assert done.returncode == 0, done.stderr
    first, second = log.split('--no-deps')
    assert 'pyarrow>=18,<20' in first and 'rerun-sdk' not in first
    assert second.strip() == 'rerun-sdk>=0.41,<0.42'
    done, log = apt_machine('lyrical', '2.3.0', 'view')
    assert done.returncode == 0 and log.count('--no-deps') == 1 and log.count('rerun-sdk') == 2


def fake_torch(checkout, *, installed, kernel='6.8.0-generic'):
    """Let torch fail to be imported, and pip and uname answer."""
    python, uname = checkout / '.venv/bin/python', checkout / 'tools/uname'
    python.write_text('#!/bin/sh\ncase "$*" in *metadata.version*) exit ' + str(1 - installed)
                      + ';; *"import torch"*) echo Traceback >&2; echo "ImportError: '
                      'libcusparseLt.so.0: no such file" >&2; exit 1;;'
                      + python.read_text().partition(' in ')[2])
    uname.write_text(f'#!/bin/sh\ncase $1 in -r) echo {kernel};; *) echo aarch64;; esac\n')
    uname.chmod(stat.S_IRWXU)


def test_why_an_installed_torch_cannot_be_imported_is_said(apt_machine, shimmed_checkout):
    fake_torch(shimmed_checkout, installed=True)
    done, log = apt_machine('humble', '1.21.5')
    assert done.returncode == 1 and log == ''
    assert 'torch is installed and cannot be imported: ImportError: libcusparseLt.so.0: no such' \
        in done.stderr


def test_an_arm_machine_takes_the_torch_of_its_cpu_and_a_jetson_does_not(
        apt_machine, shimmed_checkout):
    fake_torch(shimmed_checkout, installed=False)
    done, log = apt_machine('jazzy', '1.26.4')
    assert done.returncode == 0, done.stderr
    assert '--extra-index-url https://download.pytorch.org/whl/cpu' in log
    fake_torch(shimmed_checkout, installed=False, kernel='5.15.148-tegra')
    done, _ = apt_machine('humble', '1.21.5')
    assert done.returncode == 1 and "found no torch, wanted NVIDIA's own" in done.stderr


def test_what_the_packages_of_a_jetson_need_is_installed_before_them(
        apt_machine, shimmed_checkout):
    python = shimmed_checkout / '.venv/bin/python'
    python.write_text(python.read_text().replace(
        ' in ', ' in *gpu_packages*) printf "a Jetson\\n--no-deps\\ntorch==2.8.0\\n";; ', 1))
    done, log = apt_machine('humble', '1.21.5', 'gpu')
    assert done.returncode == 0, done.stderr
    first, second = log.split('--no-deps')
    assert '\ndllist\n' in first and 'torch==2.8.0' in second


@pytest.mark.parametrize('extra', ['bench', 'export', 'int8'])
def test_extras_that_need_a_newer_numpy_are_refused_before_anything_is_installed(
        apt_machine, extra):
    done, log = apt_machine('humble', '1.21.5', 'test', extra)
    assert done.returncode == 1 and log == ''
    assert 'needs NumPy 1.24 or newer, and humble has NumPy 1.21.5, which stays' in done.stderr


def test_an_environment_that_is_not_set_up_says_what_to_do(tmp_path):
    (tmp_path / 'scripts').mkdir()
    shutil.copy(REPOSITORY / 'scripts' / 'ros_env.sh', tmp_path / 'scripts')
    done = subprocess.run(['bash', '-c', '. scripts/ros_env.sh'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "run 'make setup' there first" in done.stderr


@pytest.mark.parametrize(('distribution', 'given', 'profile'), [
    ('jazzy', {}, 'FASTRTPS_DEFAULT_PROFILES_FILE={root}/config/fastdds.xml'),
    ('kilted', {}, 'FASTDDS_DEFAULT_PROFILES_FILE={root}/config/fastdds.xml'),
    ('jazzy', {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}, ''),
    *((distribution, {name: 'own.xml'}, f'{name}=own.xml') for distribution in ('jazzy', 'kilted')
      for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'))])
def test_the_environment_has_one_profile_of_fast_dds(tmp_path, distribution, given, profile):
    for folder in ('scripts', '.colcon'):
        (tmp_path / folder).mkdir()
    shutil.copy(REPOSITORY / 'scripts' / 'ros_env.sh', tmp_path / 'scripts')
    for name, text in (('built', ''), ('platform', 'ros'),
                       ('ros_environment.sh', f'export ROS_DISTRO={distribution}')):
        (tmp_path / '.colcon' / name).write_text(text)
    done = subprocess.run(['sh', '-c', '. scripts/ros_env.sh; env'], cwd=tmp_path, text=True,
                          env={'PATH': os.environ['PATH'], **given}, capture_output=True)
    assert [line for line in done.stdout.splitlines() if '_DEFAULT_PROFILES_FILE' in line] == (
        [profile.format(root=tmp_path)] if profile else [])


@pytest.mark.parametrize('shell', ['bash', 'sh', 'zsh'])
def test_any_shell_gets_the_environment(shell):
    program = shutil.which(shell)
    if not program:
        skip_or_fail(f'{shell} is not installed: apt-get install {shell}')
    if not (REPOSITORY / '.colcon' / 'built').exists():
        pytest.skip('this checkout was not set up by scripts/setup.sh')
    command = ('. scripts/ros_env.sh && for name in segment_node replay_camera enet-ros; '
               'do command -v $name; done && cd / && '
               'python -c "import rclpy, cv2; from enet_ros.msg import DrivableArea"')
    environment = {'PATH': '/usr/bin:/bin', 'HOME': os.environ.get('HOME', '/')}
    done = subprocess.run([program, '-c', command], cwd=REPOSITORY, env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_the_pins_name_the_distribution_once():
    text = (REPOSITORY / 'constraints' / 'bare.txt').read_text()
    assert text.count('# distribution: ') == 1
