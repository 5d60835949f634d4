"""Packages of the bare machine: pinned once, each with its hashes, and a wrong file stops."""

import contextlib
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PIN = re.compile(r'([\w.-]+)==([\w.+-]+)(?: ; [^#]+?)?((?: --hash=sha256:[0-9a-f]{64})+)')


def lines_of(name):
    text = (REPOSITORY / 'constraints' / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith('#')]


def normal(name):
    return re.sub(r'[-_.]+', '-', name).lower()


def test_every_package_has_the_pin_of_the_constraints_and_a_hash():
    pins = {normal(name): version for name, version in
            (line.split('==') for line in lines_of('bare.txt'))}
    found = [PIN.fullmatch(line) for line in lines_of('bare.hashes.txt')]
    assert all(found) and len(found) > 150
    for match in found:
        name = normal(match[1])
        assert pins.get(name, match[2]) == match[2], f'{name}: run make hashes'


def test_all_that_the_node_needs_is_there():
    wanted = subprocess.run([REPOSITORY / 'scripts' / 'setup.sh', '--runtime'], text=True,
                            capture_output=True, check=True).stdout.split('\n')
    names = {normal(line.split('==')[0]) for line in lines_of('bare.hashes.txt')}
    missing = {normal(re.match(r'[\w.-]+', line)[0]) for line in wanted if line} - names
    assert missing == set()


def test_every_pin_can_be_had_by_the_python_of_debian():
    """Debian 12 has Python 3.11.2. pip says of a pin that wants more that versions conflict."""
    specifiers = pytest.importorskip('packaging.specifiers', reason='packaging is not installed')
    text = (REPOSITORY / 'constraints' / 'bare.txt').read_text()
    wants = {}
    for name, version in re.findall(r'^([\w.-]+)==([^\s;]+)', text, re.MULTILINE):
        with contextlib.suppress(metadata.PackageNotFoundError):
            if metadata.version(name).partition('+')[0] == version:
                wants[name] = metadata.metadata(name).get('Requires-Python') or ''
    assert len(wants) > 30
    assert [name for name, want in wants.items()
            if not specifiers.SpecifierSet(want).contains('3.11.2')] == []


def test_torch_has_the_hashes_of_both_its_wheels():
    torch, = (line for line in lines_of('bare.hashes.txt') if line.startswith('torch=='))
    assert torch.count('--hash=sha256:') >= 2


@pytest.fixture
def install(tmp_path):
    """Install a tiny package by the function of setup.sh, with a hash; return the process."""
    wheel = tmp_path / 'tiny-1.0-py3-none-any.whl'
    with zipfile.ZipFile(wheel, 'w') as archive:
        archive.writestr('tiny.py', 'VALUE = 1\n')
        archive.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: tiny\n'
                         'Version: 1.0\n')
        archive.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: x\n'
                         'Root-Is-Purelib: true\nTag: py3-none-any\n')
        archive.writestr('tiny-1.0.dist-info/RECORD', '')
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / '.venv'], check=True)
    script = (REPOSITORY / 'scripts' / 'setup.sh').read_text()
    functions = '\n'.join(
        re.search(rf'^{name}\(\).*?(?:^}}|; }})$', script, re.MULTILINE | re.DOTALL)[0]
        for name in ('install_hashed', 'stop_pip', 'stop'))

    def run(digest):
        (tmp_path / 'pins.txt').write_text(f'tiny==1.0 --hash=sha256:{digest}\n')
        return subprocess.run(
            ['bash', '-c', f'{functions}\ninstall_hashed pins.txt --no-index --find-links . || '
             'stop_pip'], cwd=tmp_path, capture_output=True, text=True)
    return run, sha256(wheel.read_bytes()).hexdigest(), tmp_path


def test_a_wrong_hash_stops_the_installation(install):
    run, digest, folder = install
    done = run('0' * 64)
    assert done.returncode == 1
    assert 'THESE PACKAGES DO NOT MATCH THE HASHES' in done.stderr
    assert 'is not the file that constraints/bare.hashes.txt names' in done.stderr
    assert not list(folder.glob('.venv/lib/*/site-packages/tiny.py'))
    assert run(digest).returncode == 0
    assert list(folder.glob('.venv/lib/*/site-packages/tiny.py'))
