"""What the doctor makes of machines, most of them made up."""

import argparse
import json
import os
from dataclasses import replace

import pytest

from enet_ros.cli import doctor, doctor_advice, doctor_machine
from enet_ros.cli.doctor import report
from enet_ros.cli.doctor_advice import choice, shortfalls
from enet_ros.cli.doctor_machine import MachineReport
from enet_ros.machine import processor_features
from enet_ros.perception.segmenter import Segmenter

ROS = {'rclpy': True, 'enet_ros.msg': True, 'vision_msgs': True, 'cv_bridge': True,
       'tf2_ros': True}
ROBOT = MachineReport(python='3.12.3', machine='x86_64', processor='Some CPU', openvino='2025.4',
                      torch='2.9.0+cpu', distribution='jazzy', ros=ROS)
ORIN = MachineReport(
    python='3.10.12', machine='aarch64', processor='ARMv8', torch='2.8.0', distribution='humble',
    ros=ROS, l4t='36.4.3', jetpack='6.2+b77', driver_cuda='12.6',
    gpus=('Orin, compute capability 8.7, 16 multiprocessors',), torch_cuda='12.6',
    torch_sees_gpu=True, tensorrt='10.3.0', torch_tensorrt='2.8.0', tensorrt_works=True,
    free_mb=9000, total_mb=15000, gpu_asked=True)
PC = replace(ORIN, machine='x86_64', l4t='', jetpack='', torch='2.13.0', driver_cuda='13.0',
             torch_cuda='13.0', torch_tensorrt='2.13.0', tensorrt='11.0.0',
             gpus=('RTX 4090, compute capability 8.9, 128 multiprocessors',))
THOR = replace(PC, machine='aarch64', l4t='38.2.0', jetpack='7.0',
               gpus=('NVIDIA Thor, compute capability 11.0, 20 multiprocessors',))
NO_CUSPARSELT = 'ImportError: libcusparseLt.so.0: cannot open shared object file'
CPU_BUILD = replace(PC, torch='2.13.0+cpu', torch_cuda='', torch_sees_gpu=False,
                    torch_tensorrt='', tensorrt_works=False, openvino='2025.4', gpu_asked=False)


def options(**changes):
    return argparse.Namespace(**{'gpu': True, 'no_trial': False, 'json': False, 'node': '',
                                 'nav2': '', 'seconds': 3.0, 'watch': None, **changes})


def test_watching_the_graph_and_trying_the_gpu_are_refused_together():
    with pytest.raises(ValueError, match='--watch looks only at the graph'):
        doctor.run(options(watch=5.0))


@pytest.mark.parametrize(('machine', 'wanted'), [
    (ORIN, 'tensorrt, float16: '), (PC, 'tensorrt, float16: '),
    (replace(PC, tensorrt_works=False), 'torch, float16, on the GPU: '),
    (replace(ROBOT, bfloat16=True), 'openvino, bfloat16: '), (ROBOT, 'openvino, float32: '),
    (replace(ROBOT, openvino=''), 'torch, float32, on the CPU: '),
    (replace(ROBOT, openvino='', torch=''), 'nothing: '),
    (replace(CPU_BUILD, gpu_asked=True), 'openvino, float32: ')])
def test_says_what_will_be_used(machine, wanted):
    assert choice(machine).startswith(wanted)


@pytest.mark.parametrize(('machine', 'wanted'), [
    (PC, 'tensorrt, float16: there is a CUDA device, and TensorRT is the fastest on it; '
         'not tried'),
    (replace(PC, torch_tensorrt=''), 'torch, float16, on the GPU: there is a CUDA device'),
    (CPU_BUILD, 'openvino, float32: it is the fastest on a CPU; '
                'torch 2.13.0+cpu does not see the CUDA device'),
    (replace(CPU_BUILD, openvino=''), 'torch, float32, on the CPU: '),
    (replace(PC, gpus=(), openvino='2025.4'), 'openvino, float32: ')])
def test_says_what_will_be_used_when_the_gpu_was_not_tried(machine, wanted):
    machine = replace(machine, gpu_asked=False, torch_sees_gpu=False, tensorrt_works=False)
    assert choice(machine).startswith(wanted)


def test_openvino_is_not_missed_where_torch_takes_the_gpu():
    machine = replace(PC, openvino='', gpu_asked=False)
    assert shortfalls(machine) == []
    [missing] = shortfalls(replace(machine, torch_cuda=''))
    assert missing.startswith('OpenVINO is not installed')


@pytest.mark.parametrize('machine', [ORIN, PC, THOR, ROBOT])
def test_a_whole_machine_falls_short_of_nothing(machine):
    assert shortfalls(machine) == []
    assert 'falls short      nothing' in report(machine, [])


@pytest.mark.parametrize(('machine', 'wanted'), [
    (replace(PC, driver_cuda='', gpus=(), torch_sees_gpu=False),
     'no CUDA driver (libcuda.so.1): on a PC install the NVIDIA driver'),
    (replace(PC, gpus=(), torch_sees_gpu=False), 'finds no GPU: start a container with --gpus'),
    (replace(PC, torch='2.13.0+cpu', torch_cuda='', torch_sees_gpu=False),
     'torch 2.13.0+cpu is built without CUDA: pip install --force-reinstall torch'),
    (replace(PC, driver_cuda='12.6', torch_sees_gpu=False),
     'torch 2.13.0 is built for CUDA 13.0, the driver knows 12.6: update the NVIDIA driver'),
    (replace(ORIN, torch='2.8.0+cpu', torch_cuda='', torch_sees_gpu=False),
     f'{doctor_advice.FROM_JETSON_INDEX} torch==2.8.0; what else it needs is in docs/jetson.md'),
    (replace(ORIN, l4t='', torch='2.8.0', torch_cuda='', torch_sees_gpu=False),  # in a container
     f'{doctor_advice.FROM_JETSON_INDEX} torch==2.8.0'),
    (replace(THOR, torch_cuda='', torch_sees_gpu=False),
     "pip install --force-reinstall torch (PyPI's is built with CUDA)"),
    (replace(THOR, torch_tensorrt=''), "pip install 'torch-tensorrt==2.13.*'"),
    (replace(PC, torch='2.13.0+cpu', driver_cuda='12.2', torch_cuda='', torch_sees_gpu=False),
     "the driver knows CUDA 12.2, and PyPI's torch wants 13.0: update the NVIDIA driver"),
    (replace(ORIN, torch_sees_gpu=False, torch_problem=NO_CUSPARSELT, problem=NO_CUSPARSELT),
     f'torch 2.8.0 cannot be imported ({NO_CUSPARSELT}): install cuSPARSELt: docs/jetson.md, '
     'step 1'),
    (replace(ORIN, torch_sees_gpu=False, torch_problem='OSError: x.so: no symbol'),
     f'(OSError: x.so: no symbol): {doctor_advice.FROM_JETSON_INDEX} torch==2.8.0'),
    (replace(ORIN, tensorrt_works=False, problem="BackendError: No module named 'dllist'"),
     'pip install dllist'),
    (replace(ORIN, tensorrt_works=False, problem="BackendError: No module named 'tensorrt'"),
     'sudo apt-get install python3-libnvinfer, and make the virtual environment with --system'),
    (replace(ORIN, tensorrt_works=False, problem='ImportError: libnvinfer.so.10'),
     f'{doctor_advice.FROM_JETSON_INDEX} torch-tensorrt==2.8.0'),
    (replace(ORIN, torch_tensorrt='', tensorrt_works=False),
     'torch_tensorrt is not installed: pip install --force-reinstall --no-deps --index-url '
     + doctor_advice.JETSON_INDEX + ' torch-tensorrt==2.8.0'),
    (replace(PC, torch_tensorrt='', tensorrt_works=False),
     "torch_tensorrt is not installed: pip install 'torch-tensorrt==2.13.*'"),
    (replace(PC, tensorrt_works=False, problem="ImportError: No module named 'tensorrt'"),
     "pip install 'torch-tensorrt==2.13.*'"),
    (replace(PC, torch_tensorrt='2.9.0'), 'is made for another torch than 2.13.0'),
    (replace(PC, torch='2.7.1', torch_tensorrt='2.7.0'), 'is 2.7.0, wanted 2.8 or newer'),
    (replace(PC, tensorrt_works=False, problem='ImportError: libnvinfer.so.11'),
     'cannot be imported (ImportError: libnvinfer.so.11)')])
def test_says_the_first_thing_between_a_machine_and_tensorrt(machine, wanted):
    [missing] = shortfalls(machine)
    assert wanted in missing
    assert f'falls short      {missing}' in report(machine, [missing])


@pytest.mark.parametrize(('machine', 'wanted'), [
    (replace(ROBOT, ros={'rclpy': False}), 'rclpy is not importable: source /opt/ros'),
    (replace(ROBOT, ros={'rclpy': True, 'enet_ros.msg': False}), 'messages are not built'),
    (replace(ROBOT, torch=''), 'torch is not installed'),
    (replace(ROBOT, openvino=''), 'OpenVINO is not installed')])
def test_says_what_is_missing_without_a_gpu(machine, wanted):
    [missing] = shortfalls(machine)
    assert wanted in missing


def test_the_gpu_does_not_matter_unless_it_is_asked_for():
    assert shortfalls(replace(ROBOT, gpu_asked=False)) == []
    assert not any(line.startswith(('GPU', 'TensorRT')) for line in report(ROBOT, []))
    assert any('Orin, compute capability 8.7' in line for line in report(ORIN, []))


def test_little_free_memory_is_a_note_and_no_failure():
    machine = replace(ORIN, free_mb=700)
    assert shortfalls(machine) == []
    assert any('700 MiB are free' in line for line in report(machine, []))


@pytest.mark.parametrize(('missing', 'code'), [([], 0), (['something'], 1)])
def test_the_exit_code_says_whether_it_works(monkeypatch, capsys, missing, code):
    monkeypatch.setattr(doctor, 'gather', lambda gpu: replace(ROBOT, gpu_asked=gpu))
    monkeypatch.setattr(doctor, 'shortfalls', lambda machine: missing)
    assert doctor.run(options(no_trial=True)) == code
    assert 'will be used' in capsys.readouterr().out


def test_the_rtx_kind_has_its_own_distribution_and_advice(monkeypatch):
    versions = {'torch-tensorrt-rtx': '2.11.0', 'tensorrt-rtx-cu13-bindings': '1.4.0.76'}
    monkeypatch.setattr(doctor_machine, 'package_version', lambda name: versions.get(name, ''))
    monkeypatch.setattr(doctor_machine, '_probe', dict)
    machine = doctor_machine.gather(gpu=True)
    assert (machine.torch_tensorrt, machine.tensorrt_kind) == ('2.11.0', 'TensorRT-RTX')
    assert any(line.startswith('TensorRT-RTX ') and '1.4.0.76' in line
               for line in report(machine, []))
    [missing] = shortfalls(replace(PC, tensorrt_kind='TensorRT-RTX', tensorrt_works=False))
    assert "pip install 'torch-tensorrt-rtx==2.13.*'" in missing


TRIAL = {'size': '640x360', 'built_sec': 24.2, 'agreement': 0.99948, 'reload_sec': 5.71,
         'ms': {'tensorrt': [0.797, 0.808], 'torch': [1.362, 1.396]}}


def test_the_trial_of_the_gpu_is_told_in_a_row_each():
    lines = report(PC, [], TRIAL)
    assert 'engine           640x360, built and loaded in 24 s' in lines
    assert 'agreement        99.95 % of labels as in float32' in lines
    assert any(line.startswith('ms a frame       tensorrt 0.80 (95 %: 0.81), torch 1.36')
               for line in lines)
    assert any(line.startswith('second process   loads') and '5.7 s' in line for line in lines)


@pytest.mark.parametrize(('triton_ms', 'end'), [
    (0.31, "; the fastest here: set 'backend: triton' in the parameter file"), (0.95, '')])
def test_the_trial_says_when_fused_kernels_should_be_asked_for(triton_ms, end):
    trial = {**TRIAL, 'ms': {**TRIAL['ms'], 'triton': [triton_ms, 1.0]},
             'triton': {'ready_sec': 21.4, 'agreement': 0.99951}}
    assert ('fused kernels    backend triton, ready after 21 s, 99.95 % of labels as in float32'
            + end) in report(PC, [], trial)


def test_the_trial_says_why_fused_kernels_are_not_possible():
    trial = {**TRIAL, 'triton': {'refused': 'triton is not installed'}}
    assert 'fused kernels    backend triton is not possible: triton is not installed' in report(
        PC, [], trial)


@pytest.mark.parametrize(('failure', 'code'), [('', 0), ('labels: failed: no kernel', 1)])
def test_the_trial_decides_the_exit_code_and_json_has_it_all(monkeypatch, capsys, failure, code):
    from enet_ros.bench import gpu_trial
    monkeypatch.setattr(doctor, 'gather', lambda gpu: PC)
    monkeypatch.setattr(gpu_trial, 'try_gpu', lambda: TRIAL | ({'failure': failure} if failure
                                                               else {}))
    assert doctor.run(options(json=True)) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed['trial']['agreement'] == TRIAL['agreement']
    assert printed['findings']['gpus'] == list(PC.gpus)
    assert printed['choice'].startswith('tensorrt, float16')
    assert printed['missing'] == ([f'the trial of TensorRT failed: {failure}'] if failure else [])


def test_a_trial_whose_process_crashes_is_a_failure_and_no_traceback(monkeypatch):
    from enet_ros.bench import gpu_trial
    monkeypatch.setattr(gpu_trial.sys, 'executable', '/bin/false')
    assert gpu_trial.try_gpu() == {'failure': 'its process ended with 1: no output'}


def test_reads_the_files_of_a_jetson():
    release = '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64'
    assert doctor_machine.l4t_version(release) == '36.4.3'
    assert doctor_machine.l4t_version('') == ''
    assert processor_features('Features\t: fp asimd bf16 asimdhp\n') == (
        'bf16', 'half-precision vectors')
    assert processor_features('flags : avx512f avx512_bf16 amx_bf16\n') == (
        'AVX-512 bf16', 'AMX bf16')


def test_why_torch_cannot_be_imported_is_told_apart(monkeypatch, tmp_path):
    (tmp_path / 'torch.py').write_text('raise ImportError("libcusparseLt.so.0")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    found = doctor_machine._probe()
    assert found['torch_problem'] == found['problem'] == 'ImportError: libcusparseLt.so.0'


def test_a_library_that_crashes_does_not_take_the_doctor_with_it(monkeypatch):
    monkeypatch.setattr(doctor_machine, 'PROBE', 'import os; os.abort()')
    assert doctor_machine._probe() == {'problem': 'importing them ended the process with -6'}
    monkeypatch.setattr(doctor_machine, 'PROBE', 'import time; time.sleep(60)')
    monkeypatch.setattr(doctor_machine, 'PROBE_TIMEOUT_SEC', 0.2)
    assert 'took more than' in doctor_machine._probe()['problem']


@pytest.mark.parametrize('gpu', [False, True])
def test_the_choice_is_what_this_machine_really_picks(gpu):
    picked = Segmenter.from_file(resolution=(160, 96)).backend
    assert choice(doctor_machine.gather(gpu=gpu)).startswith(f'{picked.name}, {picked.precision}')


def test_what_the_probe_finds_counts_more_than_versions(monkeypatch):
    monkeypatch.setattr(doctor_machine, '_probe', lambda: {'torch_tensorrt': '2.9.0+probe'})
    assert doctor_machine.gather(gpu=True).torch_tensorrt == '2.9.0+probe'


@pytest.mark.parametrize('seconds', ['soon', 'nan', '0', '1e9'])
def test_a_bad_number_of_seconds_is_an_error_of_the_call(capsys, seconds):
    from enet_ros.cli.main import main
    with pytest.raises(SystemExit) as stop:
        main(['doctor', '--seconds', seconds])
    assert stop.value.code == 2
    assert f"'{seconds}' is given, wanted 0.1 to 3600 seconds" in capsys.readouterr().err
