"""The tab key completes commands, options and files of ``enet-ros`` in a real bash."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip('argcomplete', reason='argcomplete is not installed')
pytestmark = pytest.mark.skipif(not shutil.which('bash'), reason='bash is not installed')

#: Ask bash for what it would offer at the end of a line, by the function that it registered.
ASK = """
eval "$(register-python-argcomplete enet-ros)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1)
[ "${1: -1}" != ' ' ] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p enet-ros | sed 's/.*-F \\([^ ]*\\).*/\\1/') enet-ros
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope='module')
def programs(tmp_path_factory):
    """A folder with the program, as an installation makes it."""
    folder = tmp_path_factory.mktemp('bin')
    (folder / 'enet-ros').write_text(textwrap.dedent(f"""\
        #!{sys.executable}
        # PYTHON_ARGCOMPLETE_OK
        import sys
        from enet_ros.cli.main import main
        sys.exit(main())
        """))
    (folder / 'enet-ros').chmod(0o755)
    return folder


def offered(programs, line, folder=None):
    path = f'{programs}:{os.path.dirname(sys.executable)}:{os.environ["PATH"]}'
    done = subprocess.run(['bash', '-c', ASK, 'bash', line], cwd=folder, text=True, timeout=60,
                          env={**os.environ, 'PATH': path}, capture_output=True)
    assert done.returncode == 0, done.stderr
    return [word.strip() for word in done.stdout.split('\n') if word.strip()]


@pytest.mark.parametrize(('line', 'wanted', 'not_wanted'), [
    ('enet-ros seg', ['segment'], ['train']),
    ('enet-ros ', ['bag', 'segment', 'train', 'view'], []),
    ('enet-ros segment --back', ['--backend'], ['--out']),
    ('enet-ros train --recipe ', ['modern', 'paper'], ['--out'])])
def test_commands_options_and_choices(programs, line, wanted, not_wanted):
    words = offered(programs, line)
    assert set(wanted) <= set(words) and not set(not_wanted) & set(words), words


def test_files(programs, tmp_path):
    (tmp_path / 'street_1.png').touch()
    assert offered(programs, 'enet-ros segment str', tmp_path) == ['street_1.png']
