"""What every command answers to a wrong call and to a package that is missing."""

from types import SimpleNamespace

import pytest

from enet_ros.cli.main import main


@pytest.mark.parametrize('command', ['segment', 'compare', 'warm', 'bag', 'bench', 'train'])
@pytest.mark.parametrize('value', ['-1', '257', 'two', '1.5'])
def test_a_number_of_threads_is_checked_before_anything_is_done(command, value, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, f'--threads={value}'])
    assert ended.value.code == 2
    assert f"--threads: '{value}' is no number of threads, wanted 0 to 256" in (
        capsys.readouterr().err)


@pytest.mark.parametrize('package', ['rclpy', 'diagnostic_msgs.msg', 'rcl_interfaces'])
def test_a_command_without_ros_says_to_source_it(monkeypatch, capsys, package):
    def broken(_):
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)

    module = SimpleNamespace(DESCRIPTION='', add_arguments=lambda parser: None, run=broken)
    monkeypatch.setattr('importlib.import_module', lambda name: module)
    assert main(['view']) == 2
    error = capsys.readouterr().err
    assert 'wanted ROS 2: source its setup.bash' in error and 'pip install' not in error


@pytest.mark.parametrize('raised', [
    MemoryError(), OSError(12, 'Cannot allocate memory'),
    ImportError('libtorch_cpu.so: failed to map segment from shared object', name='torch')])
def test_a_command_without_memory_says_what_to_do(monkeypatch, capsys, raised):
    def starved(_):
        raise raised

    module = SimpleNamespace(DESCRIPTION='', add_arguments=lambda parser: None, run=starved)
    monkeypatch.setattr('importlib.import_module', lambda name: module)
    assert main(['segment']) == 2
    error = capsys.readouterr().err
    assert str(raised) in error and 'raise the memory limit of this process' in error
    assert 'error: ;' not in error and 'pip install' not in error
