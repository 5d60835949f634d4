"""The folder of a training run: what may lie there, and the options with which the run began."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from enet_ros.common.whole_files import unfinished, write_whole
from enet_ros.training.options import MAY_CHANGE, TrainingError, TrainOptions

#: Key of ``options.json``: an earlier start of the run trained on synthetic roads.
WAS_DRAWN = 'was_drawn'
#: What a finished run leaves in its folder.
RESULTS = ('model.safetensors', 'scores.json', 'curves.png', 'samples.png')


def check_files_stay(run: Path) -> None:
    """Check that a folder holds a run, or nothing that a run would overwrite. It may be absent.

    Raises:
        TrainingError: Its files are of something else, or of a run that cannot be continued.
    """
    if (run / 'last.ckpt').is_file() and (run / 'options.json').is_file():
        return
    # A run that stopped before its first checkpoint leaves these and begins anew.
    begun = ('options.json', 'data.json', 'data.txt', 'data.png', 'best.ckpt')
    names = RESULTS if _is_own(run / 'options.json') else (*RESULTS, *begun, 'last.ckpt')
    taken = [name for name in names if os.path.lexists(run / name)]
    if taken:
        raise TrainingError(f'{run} holds {", ".join(taken)} and no run to continue; nothing is '
                            'overwritten: choose another --out')


def _is_own(path: Path) -> bool:
    """Tell whether a file holds the options of a training run."""
    try:
        return 'recipe' in json.loads(path.read_text())
    except (OSError, ValueError, TypeError):
        return False


def was_drawn(run: Path) -> bool:
    """Tell whether an earlier start of a run trained on synthetic roads."""
    path = run / 'options.json'
    return path.is_file() and WAS_DRAWN in _read_options(path)


def _read_options(path: Path) -> dict:
    """Read the options with which a run began.

    Raises:
        TrainingError: The file is damaged.
    """
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError('no object')
    except (ValueError, RecursionError) as error:
        raise TrainingError(f'{path} is damaged: restore it to continue the run, or choose '
                            'another --out') from error
    return values


def prepare_run_folder(run: Path, options: TrainOptions) -> Path:
    """Make the folder of a run, or check that it holds a run with these options.

    Args:
        run: The folder.
        options: Checked options, which are written to ``options.json``.

    Returns:
        The path of its ``last.ckpt``, which may not exist yet.

    Raises:
        TrainingError: The folder holds a run with other options, a finished one, or files that
            training would overwrite.
    """
    run.mkdir(parents=True, exist_ok=True)
    path, last = run / 'options.json', run / 'last.ckpt'
    values = json.loads(json.dumps(asdict(options)))
    check_files_stay(run)
    if last.is_file() and path.is_file():
        earlier = _read_options(path)
        changed = [f'{key} was {earlier[key]}, now {value}' for key, value in values.items()
                   if key not in MAY_CHANGE and earlier.get(key, value) != value]
        if changed:
            raise TrainingError(f'{run} holds another run: {"; ".join(changed)}. Repeat its '
                                'command to continue it, or choose another --out')
        if (run / 'model.safetensors').is_file():
            raise TrainingError(f'{run} holds a finished run; choose another --out')
        if earlier.get('drawn') or earlier.get(WAS_DRAWN):
            values[WAS_DRAWN] = True
    # All processes of a run write it at once.
    write_whole(path, (json.dumps(values, indent=2) + '\n').encode(), unfinished(path))
    return last
