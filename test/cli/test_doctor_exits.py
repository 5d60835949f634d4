"""The doctor's exit codes and findings that no other test holds."""

import argparse
from dataclasses import replace

import pytest

from enet_ros.cli import doctor, doctor_graph, doctor_machine, gpu_packages
from enet_ros.cli.doctor_advice import choice, shortfalls
from enet_ros.cli.doctor_graph import GraphLook
from enet_ros.cli.doctor_machine import MachineReport

ROS = {'rclpy': True, 'enet_ros.msg': True, 'vision_msgs': True, 'cv_bridge': True,
       'tf2_ros': True}
ROBOT = MachineReport(python='3.12.3', machine='x86_64', processor='Some CPU', openvino='2025.4',
                      torch='2.9.0+cpu', distribution='jazzy', ros=ROS)
PC = replace(ROBOT, torch='2.13.0', driver_cuda='13.0', torch_cuda='13.0', torch_sees_gpu=True,
             torch_tensorrt='2.13.0', tensorrt='11.0.0', tensorrt_works=True, gpu_asked=True,
             gpus=('RTX 4090, compute capability 8.9, 128 multiprocessors',))


def options(**changes):
    return argparse.Namespace(**{'gpu': False, 'no_trial': False, 'json': False, 'node': '',
                                 'nav2': '', 'seconds': 3.0, 'watch': None, **changes})


@pytest.mark.parametrize(('machine', 'code', 'wanted'), [
    (ROBOT, 0, 0), (ROBOT, 1, 1), (ROBOT, 2, 2), (replace(ROBOT, torch=''), 0, 1),
    (replace(ROBOT, torch=''), 2, 2)])
def test_the_exit_code_is_the_worse_of_machine_and_graph(monkeypatch, capsys, machine, code,
                                                         wanted):
    monkeypatch.setattr(doctor, 'gather', lambda gpu: machine)
    monkeypatch.setattr(doctor, 'look', lambda args, has_ros: GraphLook(code))
    assert doctor.run(options()) == wanted


def test_without_our_messages_the_graph_is_not_looked_at(monkeypatch, capsys):
    machine = replace(ROBOT, ros={**ROS, 'enet_ros.msg': False})
    monkeypatch.setattr(doctor, 'gather', lambda gpu: machine)
    assert doctor.run(options(node='/enet')) == 2
    assert 'not looked at, since ROS 2 or our messages are not there' in capsys.readouterr().out
    assert doctor.run(options()) == 1  # nobody asked for the graph; the messages fall short


def test_no_trial_tries_nothing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'gather', lambda gpu: PC)
    monkeypatch.setattr(doctor, '_try_gpu', lambda: pytest.fail('it was tried'))
    assert doctor.run(options(gpu=True, no_trial=True)) == 0


def test_a_node_that_is_asked_for_beside_the_gpu_is_looked_at(monkeypatch):
    pytest.importorskip('rclpy')
    from enet_ros.ros.graph_doctor import look as look_module
    from enet_ros.ros.graph_doctor.findings import Finding, Kind
    from enet_ros.ros.graph_doctor.look import GraphReport
    report = GraphReport(['/enet'], [Finding(Kind.QOS, 'x'), Finding(Kind.BACKEND, 'y')])
    monkeypatch.setattr(look_module, 'look_at_graph', lambda *_: report)
    assert doctor_graph.look(options(gpu=True), has_ros=True) == GraphLook()
    found = doctor_graph.look(options(gpu=True, node='/enet'), has_ros=True)
    assert found.code == 2
    # The remedy stands below what is bad, and nothing below what is fine.
    assert [line.split()[0] for line in found.lines() if line] == ['node', 'error', '->', 'fine']


def test_watching_ends_with_the_code_of_the_last_look(monkeypatch, capsys):
    looks = [GraphLook(0), GraphLook(2)]
    monkeypatch.setattr(doctor_graph, 'look', lambda args, has_ros: looks.pop(0))

    def sleep(_):
        if not looks:
            raise KeyboardInterrupt
    monkeypatch.setattr(doctor_graph.time, 'sleep', sleep)
    assert doctor_graph.watch(options(watch=5.0)) == 2


def test_a_torch_for_cuda_without_a_gpu_gives_no_gpu():
    assert not replace(PC, gpus=()).backend_support().torch_cuda
    assert choice(replace(PC, gpus=())).startswith('openvino')
    assert not replace(PC, torch_sees_gpu=False).backend_support().torch_cuda


def test_absent_packages_are_named_once(monkeypatch):
    [text] = shortfalls(replace(ROBOT, absent=('pillow', 'tqdm')))
    assert text.startswith('pillow, tqdm cannot be imported: ')
    monkeypatch.setattr(doctor_machine, 'absent_requirements',
                        lambda: ['torch', 'openvino', 'tqdm'])
    monkeypatch.setattr(doctor_machine, '_openvino', lambda: ('2025.4', ['FP32']))
    found = doctor_machine.gather(gpu=False)
    assert found.absent == ('tqdm',) and not found.bfloat16


def test_a_driver_of_cuda_9_is_older_than_a_torch_for_cuda_12():
    machine = replace(PC, torch_sees_gpu=False, torch_cuda='12.6', driver_cuda='9.2')
    assert 'update the NVIDIA driver' in shortfalls(machine)[0]


def test_what_a_program_that_fails_prints_is_no_version():
    assert doctor_machine._output('sh', '-c', 'echo 6.2; exit 1') == ''
    assert doctor_machine._output('sh', '-c', 'echo 6.2') == '6.2'


def test_the_last_line_of_the_probe_counts(monkeypatch):
    monkeypatch.setattr(doctor_machine, 'PROBE',
                        'print("FOUND {}"); print("FOUND {\\"free_mb\\": 7}")')
    assert doctor_machine._probe() == {'free_mb': 7}


def test_where_nothing_is_to_be_installed_the_set_up_is_told_by_the_exit_code(monkeypatch,
                                                                              capsys):
    monkeypatch.setattr(gpu_packages, 'gather', lambda gpu: ROBOT)
    monkeypatch.setattr('sys.argv', ['gpu_packages', '--torch', '2.13.0'])
    assert gpu_packages.main() == 1
    monkeypatch.setattr(gpu_packages, 'gather', lambda gpu: PC)
    assert gpu_packages.main() == 0


def test_settings_of_nodes_that_cannot_be_read_or_are_odd(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    from enet_ros.ros.graph_doctor import machine_settings
    from enet_ros.ros.graph_doctor.findings import Kind
    for pid, environ in ((1, b''), (2, b'ROS_DOMAIN_ID=\0X=a=b\0ROS_LOCALHOST_ONLY=1\0')):
        process = tmp_path / str(pid)
        process.mkdir()
        (process / 'cmdline').write_bytes(b'/x/lib/enet_ros/segment_node\0')
        (process / 'environ').write_bytes(environ)
    read = machine_settings.Path.read_bytes

    def forbidden(path):
        if path == tmp_path / '1' / 'environ':
            raise PermissionError(13, 'Permission denied')  # of another user
        return read(path)
    monkeypatch.setattr(machine_settings.Path, 'read_bytes', forbidden)
    [(pid, settings)] = machine_settings.local_nodes(tmp_path)
    assert pid == 2 and settings['ROS_LOCALHOST_ONLY'] == '1'
    assert settings['ROS_DOMAIN_ID'] == '0'  # empty is as not set
    [finding] = machine_settings.environment_findings({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'Off'})
    assert finding.kind is Kind.LOCAL_ONLY


def test_shared_memory_is_judged_in_mib_and_leftovers_are_named(tmp_path, monkeypatch):
    pytest.importorskip('rclpy')
    from types import SimpleNamespace

    from enet_ros.ros.graph_doctor import machine_settings
    from enet_ros.ros.graph_doctor.findings import Kind
    from enet_ros.ros.shared_memory import Leftovers
    monkeypatch.setattr(machine_settings.os, 'statvfs',
                        lambda _: SimpleNamespace(f_bavail=16 << 10, f_frsize=1 << 10))
    [finding] = machine_settings.shared_memory_findings(tmp_path)
    assert '16 MiB free' in finding.text
    monkeypatch.setattr(machine_settings, 'find_leftovers', lambda _: Leftovers(2, 9_000_000))
    assert machine_settings.shared_memory_findings(tmp_path)[-1].kind is Kind.LEFTOVERS


def test_a_soak_that_failed_is_told_by_the_exit_code(monkeypatch, capsys):
    pytest.importorskip('rclpy')
    pytest.importorskip('psutil')
    from enet_ros.bench import soak_report
    from enet_ros.cli.main import main
    from enet_ros.ros.tools import soak
    monkeypatch.setattr(soak_report, 'format_soak', lambda report: '')
    for failures, code in ((['memory went up'], 1), ([], 0)):
        monkeypatch.setattr(soak, 'run_soak', lambda _, failures=failures: (
            argparse.Namespace(failures=failures), None))
        assert main(['soak', '--minutes', '1']) == code


def test_topics_of_a_nav2_file_count_with_a_slash_alone_and_in_lists_too(tmp_path):
    pytest.importorskip('rclpy')
    from enet_ros.ros.graph_doctor.nav2_file import read_nav2_file
    (tmp_path / 'nav2.yaml').write_text(
        'costmap:\n  plugins:\n  - {topic: /enet/obstacles}\n  - {topic: scan}\n'
        '  layer: {class_types: [free], free: {classes: [Road]}, labels_topic: label_info,\n'
        '          segmentation_topic: /enet/labels}\n')
    semantic, *others = read_nav2_file(tmp_path / 'nav2.yaml')
    assert semantic.topics == {'segmentation_topic': '/enet/labels'}
    assert [list(other.topics.values()) for other in others] == [['/enet/obstacles']]


@pytest.mark.parametrize(('nodes', 'kind'), [([], 'DOMAIN'), (['/enet'], 'OTHER_DOMAIN')])
def test_a_node_elsewhere_is_the_error_only_where_none_is_here(monkeypatch, nodes, kind):
    pytest.importorskip('rclpy')
    from contextlib import nullcontext
    from types import SimpleNamespace

    from enet_ros.ros.graph_doctor import look
    from enet_ros.ros.graph_doctor.findings import Finding, Kind
    monkeypatch.setattr(look, 'open_observer', lambda: nullcontext(SimpleNamespace(
        find=lambda node: nodes, observe=lambda *_: None, names=lambda: [],
        nameless_topics=lambda: [])))
    monkeypatch.setattr(look, 'graph_findings', lambda *_: [])
    monkeypatch.setattr(look, 'local_nodes', lambda: [
        (7, {**look.settings_of({}), 'ROS_DOMAIN_ID': '9'})])
    monkeypatch.setattr(look, 'shared_memory_findings', lambda: [Finding(Kind.SHARED_MEMORY, '')])
    found = look.look_at_graph({'ROS_LOCALHOST_ONLY': '0', 'ROS_DOMAIN_ID': '101'}).findings
    assert {finding.kind.name for finding in found} == {kind, 'SHARED_MEMORY'}
    assert [finding.severity for finding in found] == sorted(
        (finding.severity for finding in found), reverse=True)
