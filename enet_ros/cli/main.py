"""The command line: ``enet-ros COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import keyword
import sys

#: name -> what it does, in a line. Modules load only when their command runs, so help is instant.
COMMANDS = {
    'segment': 'label pictures and videos, without ROS',
    'train': 'train weights on CamVid, Cityscapes, SUN RGB-D or your own pictures',
    'eval': "score weights on a data set's split",
    'bench': 'measure it on this machine, beside other runtimes, and the node over DDS',
    'import': "turn another project's weights into a .safetensors file",
    'export': 'write the graph the node runs as ONNX, OpenVINO or torch.export, or in int8',
    'params': 'print the parameters of the node, as text or as a parameter file',
    'doctor': 'print what this machine has, what will run, and what is missing',
}

#: What a command needs beyond the runtime, where it is not the extra 'train'.
EXTRAS = {'bench': 'bench', 'export': 'export'}


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 called wrongly."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog='enet-ros', description='Real-time semantic segmentation with ENet.',
        epilog='enet-ros COMMAND --help says more of each.')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    chosen = next((word for word in arguments if word in COMMANDS), None)
    run = None
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(
                f'enet_ros.cli.{name}_' if keyword.iskeyword(name) else f'enet_ros.cli.{name}')
            command.description = module.DESCRIPTION
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
            run = module.run
    parsed = parser.parse_args(arguments)
    try:
        return run(parsed)
    except (ValueError, OSError) as error:
        print(f'enet-ros {parsed.command}: error: {error}', file=sys.stderr)
        return 2
    except ImportError as error:
        from enet_ros.machine import how_to_install
        print(f'enet-ros {parsed.command}: error: {error}; this command needs more packages: '
              f'{how_to_install(EXTRAS.get(parsed.command, "train"))}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        return 130
