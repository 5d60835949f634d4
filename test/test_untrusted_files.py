"""Files from anywhere: nothing in them is executed, and no size is believed before it is checked.

What each reader refuses in detail is tested beside it: test/network/test_checkpoint.py, test/
importers/ (pickles, Torch7), perception/images/ (test_read_compressed.py, test_jpeg.py).
"""

import ast
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.damaged import png_of

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ('enet_ros', 'launch', 'examples')
                 for path in (REPOSITORY / folder).rglob('*.py'))
#: Children of our own process, which read a pickle that their parent wrote into their pipe.
PIPES = {'enet_ros/common/child.py', 'enet_ros/recordings/job_process.py'}
SAFE_LOADERS = {'safe_loader'}  # of plain_yaml.py: yaml's CSafeLoader or SafeLoader
HUGE = 60 << 30  # bytes that a file claims to have
MOST_MEMORY_MB = 40


def executes(call):
    """Return what a call could execute from its argument, or ''."""
    name, keywords = ast.unparse(call.func), {word.arg: word.value for word in call.keywords}

    def is_true(key):
        return isinstance(keywords.get(key), ast.Constant) and keywords[key].value is True
    if name in ('eval', 'exec', 'os.system', 'os.popen', 'compile', '__import__'):
        return name
    if name.split('.')[0] in ('pickle', 'dill', 'marshal', 'shelve', 'joblib') \
            and name.split('.')[-1] in ('load', 'loads', 'open', 'Unpickler'):
        return name
    if name == 'torch.load' and not is_true('weights_only'):
        return 'torch.load without weights_only'
    if name == 'np.load' and is_true('allow_pickle'):
        return 'np.load with allow_pickle'
    if name in ('yaml.load', 'yaml.load_all') and (
            len(call.args) < 2 or ast.unparse(call.args[1]) not in SAFE_LOADERS):
        return f'{name} without a safe loader'
    if name in ('yaml.unsafe_load', 'yaml.full_load'):
        return name
    if is_true('shell'):
        return f'{name} in a shell'
    return ''


def found_in(text):
    return {reason for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
            if (reason := executes(node))}


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_source_executes_what_it_reads(path):
    allowed = {'pickle.load'} if str(path.relative_to(REPOSITORY)) in PIPES else set()
    assert found_in(path.read_text()) == allowed


@pytest.mark.parametrize('text', [
    'eval(x)', 'pickle.loads(x)', 'torch.load(x)', 'torch.load(x, weights_only=False)',
    'yaml.load(x)', 'yaml.load(x, yaml.Loader)', 'subprocess.run(x, shell=True)',
    'np.load(x, allow_pickle=True)', 'os.system(x)', 'yaml.unsafe_load(x)'])
def test_what_could_execute_is_seen(text):
    assert found_in(text)


@pytest.mark.parametrize('text', ['!!python/object/apply:os.getcwd []', '!!python/name:os.system',
                                  '!!python/tuple [1, 2]'])
def test_plain_yaml_makes_no_object_of_python(text):
    from enet_ros.common.plain_yaml import load_yaml
    with pytest.raises((ValueError, yaml.YAMLError)):
        load_yaml(text)


BOMB = '!!python/object/apply:os.mkdir [executed]\n'


@pytest.mark.parametrize(('code', 'name'), [
    ('from enet_ros.perception.parameters.files import read_sections as read', 'own.yaml'),
    ('from enet_ros.network.class_files import read_class_file as read', 'classes.yaml'),
    ('from enet_ros.training.data_file import read_sources as read', 'data.yaml')])
def test_yaml_that_names_code_is_refused(tmp_path, monkeypatch, code, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(BOMB)
    names = {}
    exec(code, names)  # the import of the case
    with pytest.raises(ValueError, match=name):
        names['read'](Path(name))
    assert not (tmp_path / 'executed').exists()


def safetensors():
    header = json.dumps({'fullconv.weight': {'dtype': 'F32', 'shape': [HUGE // 4],
                                             'data_offsets': [0, HUGE]}}).encode()
    return struct.pack('<Q', len(header)) + header


def torch7():
    """Return a tensor's storage of 15 G numbers, as torch.save begins it."""
    name = b'torch.FloatStorage'
    return (struct.pack('<ii', 4, 1) + struct.pack('<i', 3) + b'V 1'
            + struct.pack('<i', len(name)) + name + struct.pack('<q', HUGE // 4))


def cdr():
    """Return an Image whose data claims 4 GB, the most that CDR can."""
    return (b'\0\1\0\0' + struct.pack('<iI', 1, 0) + struct.pack('<I', 4) + b'cam\0'
            + struct.pack('<II', 8, 8) + struct.pack('<I', 5) + b'rgb8\0\0\0\0'
            + struct.pack('<II', 24, 0xFFFFFFF0))


#: name -> content, and code that reads it from ``path``
CLAIMS = {
    'png': (png_of([], 140_000, 140_000, 8, 2),
            'from enet_ros.media import read_image; read_image(path)'),
    'safetensors header of 60 GB': (
        struct.pack('<Q', HUGE) + b'{}',
        'from enet_ros.network.checkpoint import read_checkpoint; read_checkpoint(path)'),
    'safetensors array of 60 GB': (
        safetensors(),
        'from enet_ros.network.checkpoint import read_checkpoint; read_checkpoint(path)'),
    'torch7': (torch7(), 'from enet_ros.importers.import_checkpoint import import_checkpoint; '
                         'import_checkpoint(path)'),
    'cdr': (cdr(), 'from enet_ros.ros.cdr import read_image_message; '
                   'read_image_message(path.read_bytes())'),
}
PROBE = """
import resource, sys
from pathlib import Path
path = Path(sys.argv[1])
warm = {warm}
def used_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
exec(warm)
before = used_mb()
try:
    {code}
except ValueError as error:
    print(f'{{used_mb() - before:.0f}} {{type(error).__name__}} {{error}}')
"""


@pytest.mark.parametrize('name', CLAIMS)
def test_a_small_file_that_claims_60_gb_is_refused_within_little_memory(tmp_path, name):
    content, code = CLAIMS[name]
    if name == 'cdr':
        pytest.importorskip('rclpy', reason='rclpy is not installed')
    assert len(content) < 250
    path = tmp_path / 'small'
    path.write_bytes(content)
    probe = PROBE.format(code=code, warm=repr(code.split(';')[0]))
    done = subprocess.run([sys.executable, '-c', probe, path], text=True, capture_output=True,
                          timeout=100)
    assert done.returncode == 0, done.stderr
    megabytes, kind, _ = done.stdout.split(' ', 2)
    assert kind in ('SourceError', 'CheckpointError', 'EncodingError'), done.stdout
    assert int(megabytes) < MOST_MEMORY_MB
