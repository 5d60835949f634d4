"""What the doctor makes of machines, most of them made up."""

import argparse
from dataclasses import replace

import pytest

from enet_ros.cli import doctor
from enet_ros.cli.doctor import Findings, choice, report, shortfalls
from enet_ros.machine import processor_features
from enet_ros.perception.segmenter import Segmenter

ROS = {'rclpy': True, 'enet_ros.msg': True, 'vision_msgs': True, 'cv_bridge': True,
       'tf2_ros': True}
ROBOT = Findings(python='3.12.3', machine='x86_64', processor='Some CPU', openvino='2025.4',
                 torch='2.9.0+cpu', distribution='jazzy', ros=ROS)
ORIN = Findings(
    python='3.10.12', machine='aarch64', processor='ARMv8', torch='2.8.0', distribution='humble',
    ros=ROS, l4t='36.4.3', jetpack='6.2+b77', driver_cuda='12.6',
    gpus=('Orin, compute capability 8.7, 16 multiprocessors',), torch_cuda='12.6',
    torch_sees_gpu=True, tensorrt='10.3.0', torch_tensorrt='2.8.0', tensorrt_works=True,
    free_mb=9000, total_mb=15000, gpu_asked=True)
PC = replace(ORIN, machine='x86_64', l4t='', jetpack='', torch='2.13.0', driver_cuda='13.0',
             torch_cuda='13.0', torch_tensorrt='2.13.0', tensorrt='11.0.0',
             gpus=('RTX 4090, compute capability 8.9, 128 multiprocessors',))
CPU_BUILD = replace(PC, torch='2.13.0+cpu', torch_cuda='', torch_sees_gpu=False,
                    torch_tensorrt='', tensorrt_works=False, openvino='2025.4', gpu_asked=False)


@pytest.mark.parametrize(('findings', 'wanted'), [
    (ORIN, 'tensorrt, float16: '), (PC, 'tensorrt, float16: '),
    (replace(PC, tensorrt_works=False), 'torch, float16, on the GPU: '),
    (replace(ROBOT, bfloat16=True), 'openvino, bfloat16: '), (ROBOT, 'openvino, float32: '),
    (replace(ROBOT, openvino=''), 'torch, float32, on the processor: '),
    (replace(ROBOT, openvino='', torch=''), 'nothing: '),
    (replace(CPU_BUILD, gpu_asked=True), 'openvino, float32: ')])
def test_says_what_will_be_used(findings, wanted):
    assert choice(findings).startswith(wanted)


@pytest.mark.parametrize(('findings', 'wanted'), [
    (PC, 'tensorrt, float16: there are a CUDA device and torch_tensorrt; not tried'),
    (replace(PC, torch_tensorrt=''), 'torch, float16, on the GPU: there is a CUDA device'),
    (CPU_BUILD, 'openvino, float32: the fastest on a processor, which has no bfloat16 itself; '
                'torch 2.13.0+cpu does not see the CUDA device'),
    (replace(CPU_BUILD, openvino=''), 'torch, float32, on the processor: '),
    (replace(PC, gpus=(), openvino='2025.4'), 'openvino, float32: ')])
def test_says_what_will_be_used_when_the_gpu_was_not_tried(findings, wanted):
    findings = replace(findings, gpu_asked=False, torch_sees_gpu=False, tensorrt_works=False)
    assert choice(findings).startswith(wanted)


def test_openvino_is_not_missed_where_torch_takes_the_gpu():
    findings = replace(PC, openvino='', gpu_asked=False)
    assert shortfalls(findings) == []
    [missing] = shortfalls(replace(findings, torch_cuda=''))
    assert missing.startswith('OpenVINO is not installed')


@pytest.mark.parametrize('findings', [ORIN, PC, ROBOT])
def test_a_whole_machine_falls_short_of_nothing(findings):
    assert shortfalls(findings) == []
    assert 'falls short      nothing' in report(findings, [])


@pytest.mark.parametrize(('findings', 'wanted'), [
    (replace(PC, driver_cuda='', gpus=(), torch_sees_gpu=False),
     'no CUDA driver (libcuda.so.1): on a PC install the NVIDIA driver'),
    (replace(PC, gpus=(), torch_sees_gpu=False), 'finds no GPU: start a container with --gpus'),
    (replace(PC, torch='2.13.0+cpu', torch_cuda='', torch_sees_gpu=False),
     'torch 2.13.0+cpu is built without CUDA: pip install --force-reinstall torch'),
    (replace(PC, driver_cuda='12.6', torch_sees_gpu=False),
     'torch 2.13.0 is built for CUDA 13.0, the driver knows 12.6: update the NVIDIA driver'),
    (replace(ORIN, torch='2.8.0+cpu', torch_cuda='', torch_sees_gpu=False),
     f'pip install torch==2.8.0 --index-url {doctor.JETSON_INDEX}'),
    (replace(ORIN, torch_tensorrt='', tensorrt_works=False),
     'torch_tensorrt is not installed: pip install torch-tensorrt==2.8.0 --no-deps --index-url '
     + doctor.JETSON_INDEX),
    (replace(PC, torch_tensorrt='', tensorrt_works=False),
     "torch_tensorrt is not installed: pip install 'torch-tensorrt==2.13.*'"),
    (replace(PC, torch_tensorrt='2.9.0'), 'is made for another torch than 2.13.0'),
    (replace(PC, torch='2.7.1', torch_tensorrt='2.7.0'), 'is 2.7.0, wanted 2.8 or newer'),
    (replace(PC, tensorrt_works=False, problem='ImportError: libnvinfer.so.11'),
     'cannot be imported (ImportError: libnvinfer.so.11)')])
def test_says_the_first_thing_between_a_machine_and_tensorrt(findings, wanted):
    [missing] = shortfalls(findings)
    assert wanted in missing
    assert f'falls short      {missing}' in report(findings, [missing])


@pytest.mark.parametrize(('findings', 'wanted'), [
    (replace(ROBOT, ros={'rclpy': False}), 'rclpy is not importable: source /opt/ros'),
    (replace(ROBOT, ros={'rclpy': True, 'enet_ros.msg': False}), 'messages are not built'),
    (replace(ROBOT, torch=''), 'torch is not installed'),
    (replace(ROBOT, openvino=''), 'OpenVINO is not installed')])
def test_says_what_is_missing_without_a_gpu(findings, wanted):
    [missing] = shortfalls(findings)
    assert wanted in missing


def test_the_gpu_does_not_matter_unless_it_is_asked_for():
    assert shortfalls(replace(ROBOT, gpu_asked=False)) == []
    assert not any(line.startswith(('GPU', 'TensorRT')) for line in report(ROBOT, []))
    assert any('Orin, compute capability 8.7' in line for line in report(ORIN, []))


def test_little_free_memory_is_a_note_and_no_failure():
    findings = replace(ORIN, free_mb=700)
    assert shortfalls(findings) == []
    assert any('700 MiB are free' in line for line in report(findings, []))


@pytest.mark.parametrize(('missing', 'code'), [([], 0), (['something'], 1)])
def test_the_exit_code_says_whether_it_works(monkeypatch, capsys, missing, code):
    monkeypatch.setattr(doctor, 'gather', lambda gpu: replace(ROBOT, gpu_asked=gpu))
    monkeypatch.setattr(doctor, 'shortfalls', lambda findings: missing)
    assert doctor.run(argparse.Namespace(gpu=True)) == code
    assert 'will be used' in capsys.readouterr().out


def test_reads_the_files_of_a_jetson():
    release = '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64'
    assert doctor.l4t_version(release) == '36.4.3'
    assert doctor.l4t_version('') == ''
    assert processor_features('Features\t: fp asimd bf16 asimdhp\n') == (
        'bf16', 'half-precision vectors')
    assert processor_features('flags : avx512f avx512_bf16 amx_bf16\n') == (
        'AVX-512 bf16', 'AMX bf16')


def test_a_library_that_crashes_does_not_take_the_doctor_with_it(monkeypatch):
    monkeypatch.setattr(doctor, 'PROBE', 'import os; os.abort()')
    assert doctor._probe() == {'problem': 'importing them ended the process with -6'}
    monkeypatch.setattr(doctor, 'PROBE', 'import time; time.sleep(60)')
    monkeypatch.setattr(doctor, 'PROBE_TIMEOUT_SEC', 0.2)
    assert 'took more than' in doctor._probe()['problem']


@pytest.mark.parametrize('gpu', [False, True])
def test_the_choice_is_what_this_machine_really_picks(gpu):
    picked = Segmenter.from_file(resolution=(160, 96)).backend
    assert choice(doctor.gather(gpu)).startswith(f'{picked.name}, {picked.precision}')


def test_what_the_probe_finds_counts_more_than_versions(monkeypatch):
    monkeypatch.setattr(doctor, '_probe', lambda: {'torch_tensorrt': '2.9.0+probe'})
    assert doctor.gather(gpu=True).torch_tensorrt == '2.9.0+probe'
