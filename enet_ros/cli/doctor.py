"""``enet-ros doctor``: what this machine has, what will run the network, what is missing."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from enet_ros.cli.doctor_advice import choice, shortfalls
from enet_ros.cli.doctor_graph import add_graph_arguments, look, watch
from enet_ros.cli.doctor_machine import MachineReport, gather
from enet_ros.cli.say import say

DESCRIPTION = """Print what this machine has, what will run the network and why, and what to
install where it falls short. Where nodes of enet_ros run, it also says why a mask is missing or
bad, with a remedy for each finding (docs/doctor.md). It only listens, for a few seconds.

The exit code is 0 if all is fine, 1 for a warning or if the machine falls short, 2 for an error of
the running graph or a wrong call. With --gpu alone it is 0 or 1, and no graph is looked at.

With --gpu it also tries the GPU: it builds a TensorRT engine (half a minute on a PC, minutes on a
small GPU), compares its labels with float32, times it beside torch, and loads it in a second
process.

examples:
  enet-ros doctor                    # the CPU, ROS 2 and the running nodes
  enet-ros doctor --node /enet --nav2 my_nav2.yaml --watch
  enet-ros doctor --gpu              # and the GPU, with a trial of TensorRT
  enet-ros doctor --gpu --no-trial   # and the GPU, without building anything
  enet-ros doctor --gpu --json       # the same for a script"""

BUILD_MB = 1500  # Free memory below which doctor warns. No build has been seen to run out of it.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--gpu', action='store_true',
                        help='look at the GPU and TensorRT as well, and try them')
    parser.add_argument('--no-trial', action='store_true',
                        help='with --gpu: build no engine and measure nothing')
    parser.add_argument('--json', action='store_true', help='print JSON instead of text')
    add_graph_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0, 1 or 2 for fine, warning and error."""
    if args.watch and args.gpu:
        raise ValueError('--watch looks only at the graph; give --gpu without it')
    return watch(args) if args.watch else _look_once(args)


def _look_once(args: argparse.Namespace) -> int:
    machine = gather(gpu=args.gpu)
    missing = shortfalls(machine)
    trial = None
    if args.gpu and machine.torch_sees_gpu and not args.no_trial:
        trial, failure = _try_gpu()
        missing += [failure] if failure else []
    graph = look(args, has_ros=all(machine.ros.get(name) for name in ('rclpy', 'enet_ros.msg')))
    if args.json:
        print(json.dumps({'findings': asdict(machine), 'choice': choice(machine),
                          'trial': trial, 'missing': missing, 'graph': asdict(graph)}, indent=1))
    else:
        say(*report(machine, missing, trial), *graph.lines(), to_stdout=True)
    return max(1 if missing else 0, graph.code)


def _try_gpu() -> tuple[dict, str]:
    """Build, compare, time and reload; return what was found and what failed, or ''."""
    from enet_ros.bench.gpu_trial import try_gpu
    print('trying the GPU: an engine is built, which takes minutes on a small one',
          file=sys.stderr)
    trial = try_gpu()
    return trial, f"the trial of TensorRT failed: {trial['failure']}" if trial.get('failure') \
        else ''


def report(machine: MachineReport, missing: list[str], trial: dict | None = None) -> list[str]:
    """Return the lines to print.

    Args:
        machine: What the machine has.
        missing: What falls short, each with what to do about it.
        trial: Result of :func:`enet_ros.bench.gpu_trial.try_gpu`, or None.
    """
    lines = [f'{name:<16} {value}' for name, value in _rows(machine)]
    lines += ['', f'{"will be used":<16} {choice(machine)}']
    if machine.gpu_asked and machine.free_mb and machine.free_mb < BUILD_MB:
        lines.append(f'{"note":<16} {machine.free_mb} MiB are free; while an engine is built, '
                     'end what else uses the GPU')
    lines += [f'{name:<16} {value}' for name, value in _trial_rows(trial or {})]
    if not missing:
        return [*lines, f'{"falls short":<16} nothing']
    return [*lines, *(f'{"falls short":<16} {text}' for text in missing)]


def _rows(machine: MachineReport) -> list[tuple[str, str]]:
    absent = 'not found'
    rows = [
        ('machine', f'{machine.machine}, Python {machine.python}'),
        ('processor', ', '.join([machine.processor or 'unknown',
                                 *(machine.features or ('no bf16, no AMX',))])),
        ('OpenVINO', machine.openvino or absent),
        ('torch', machine.torch or absent),
        ('ROS 2', machine.distribution or absent),
        *((name, 'found' if there else absent) for name, there in machine.ros.items())]
    return rows + (_gpu_rows(machine, absent) if machine.gpu_asked else [])


def _gpu_rows(machine: MachineReport, absent: str) -> list[tuple[str, str]]:
    memory = (f'{machine.free_mb} of {machine.total_mb} MiB free' if machine.total_mb
              else 'not known')
    return [('L4T', machine.l4t or (absent if machine.has_jetpack6() else 'no Jetson')),
            ('JetPack', machine.jetpack or absent),
            ('CUDA driver', machine.driver_cuda or absent),
            ('CUDA of torch', machine.torch_cuda or absent),
            ('GPU', '; '.join(machine.gpus) or absent), ('GPU memory', memory),
            (machine.tensorrt_kind, machine.tensorrt or absent),
            ('torch_tensorrt', machine.torch_tensorrt or absent)]


def _trial_rows(trial: dict) -> list[tuple[str, str]]:
    """Return a row for each thing that the trial of the GPU found."""
    rows = []
    if 'built_sec' in trial:
        rows += [('engine', f"{trial['size']}, built and loaded in {trial['built_sec']:.0f} s"),
                 ('agreement', f"{100 * trial['agreement']:.2f} % of labels as in float32")]
    if 'triton' in trial:
        rows.append(('fused kernels', _fused_kernels(trial)))
    if 'ms' in trial:
        times = [f'{name} {median:.2f} (95 %: {p95:.2f})'
                 for name, (median, p95) in trial['ms'].items()]
        rows.append(('ms a frame', f"{', '.join(times)}; copies to and from the GPU included"))
    if 'reload_sec' in trial:
        rows.append(('second process', f"loads the engine from the cache in "
                                       f"{trial['reload_sec']:.1f} s"))
    return rows


def _fused_kernels(trial: dict) -> str:
    """Say what became of the backend triton, and when it should be asked for."""
    triton, ms = trial['triton'], {name: times[0] for name, times in trial['ms'].items()}
    if 'refused' in triton:
        return f"backend triton is not possible: {triton['refused']}"
    text = (f"backend triton, ready after {triton['ready_sec']:.0f} s, "
            f"{100 * triton['agreement']:.2f} % of labels as in float32")
    if min(ms, key=ms.get) == 'triton':
        text += "; the fastest here: set 'backend: triton' in the parameter file"
    return text
