"""The house: imports point one way, in no circle, and ROS stays in its room.

The graph is drawn from the sources by ``ast``, imports inside functions included, since an arrow
is an arrow whenever it is followed.
"""

import ast
from pathlib import Path

import pytest

import enet_ros

PACKAGE = Path(enet_ros.__file__).resolve().parent

#: room -> the rooms it may import from, beside itself and the leaves
ORDER = {
    'network': set(),
    'backends': {'network'},
    'perception': {'network', 'backends'},
    'ros': {'network', 'backends', 'perception'},
}
LEAVES = {'common', 'scene', 'machine'}

#: Folders of ``perception``: their modules import none of its steps and of no other folder, only
#: these leaves beside them.
FOLDERS = {'images', 'geometry', 'parameters'}
PERCEPTION_LEAVES = {'message_types', 'output_error', 'resize'}

#: These use the four rooms and each other, and are used by none of them. ``ros.tools`` are the
#: programs around the node, which are measured with ``bench``: outside, though ROS is theirs too.
#: ``media`` reads files by the decoder of the topics, and only rooms outside read files, as does
#: ``recordings``, which takes bags through the rooms without ROS.
OUTSIDE = {'training', 'importers', 'bench', 'comparison', 'export', 'cli', 'ros.tools', 'media',
           'recordings', 'view'}

#: The public import, and its forward for one release: nothing in the house goes through them.
DOORS = {'', 'segmenter'}

#: Generated from msg/ when the package is built.
GENERATED = {'enet_ros.msg'}


def read_modules(package):
    """Return the syntax trees of a package's modules by their dotted names."""
    trees = {}
    for path in sorted(package.rglob('*.py')):
        parts = [package.name, *path.relative_to(package).with_suffix('').parts]
        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        if name.split('.')[1:2] != ['msg']:
            trees[name] = ast.parse(path.read_text(), str(path))
    return trees


def imports_of(name, tree, modules):
    """Yield the dotted names that a module imports, anywhere in it.

    ``from package import module`` is an import of that module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{name} line {node.lineno}: a relative import'
            for alias in node.names:
                inner = f'{node.module}.{alias.name}'
                yield inner if inner in modules else node.module


def room_of(module):
    """Return the room of a dotted name of the package: its folder, or a module on the top."""
    parts = module.split('.')[1:]
    return 'ros.tools' if parts[:2] == ['ros', 'tools'] else parts[0] if parts else ''


def may_import(room, other):
    """Tell whether a room may import from another."""
    if room in DOORS:
        return other == 'perception'
    if room in LEAVES:
        return other in LEAVES
    if room in OUTSIDE:
        return other not in DOORS
    return other == room or other in ORDER[room] | LEAVES


def may_import_in_perception(name, other):
    """Tell whether a module of ``perception`` may import another one, both by their names there.

    A leaf may not import any, and a module of a folder only those of its folder and leaves.
    """
    folder, is_inside, _ = name.partition('.')
    if name in PERCEPTION_LEAVES:
        return False
    return not is_inside or other.startswith(f'{folder}.') or other in PERCEPTION_LEAVES


def draw_graph(trees):
    """Return (module, module) arrows inside the package."""
    return sorted({(name, other) for name, tree in trees.items()
                   for other in imports_of(name, tree, trees)
                   if other.split('.')[0] == PACKAGE.name and other not in GENERATED})


def find_circle(arrows):
    """Return the modules of one circle of imports, first and last the same, or []."""
    following = {}
    for name, other in arrows:
        following.setdefault(name, []).append(other)
    path, done = [], set()

    def visit(name):
        if name in path:
            return [*path[path.index(name):], name]
        if name in done:
            return []
        path.append(name)
        for other in following.get(name, ()):
            if circle := visit(other):
                return circle
        done.add(path.pop())
        return []

    return next((circle for name in following if (circle := visit(name))), [])


def is_ros(name):
    """Tell whether an import is of ROS: its client library, or messages, or what uses them."""
    first = name.split('.')[0]
    return (first.startswith(('rclpy', 'rcl_', 'tf2', 'cv_bridge', 'launch'))
            or first.endswith(('_msgs', '_interfaces')) or name in GENERATED)


def is_allowed_in_init(node):
    """Tell whether a statement is a docstring, an import or ``__all__``."""
    if isinstance(node, ast.Assign):
        return [getattr(target, 'id', None) for target in node.targets] == ['__all__']
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


@pytest.fixture(scope='module')
def trees():
    return read_modules(PACKAGE)


@pytest.fixture(scope='module')
def arrows(trees):
    return draw_graph(trees)


def test_every_module_stands_in_a_room(trees):
    rooms = set(ORDER) | LEAVES | OUTSIDE | DOORS | {'models'}
    assert {room_of(name) for name in trees} <= rooms


def test_imports_point_one_way(arrows):
    assert len(arrows) > 100
    assert [f'{name} imports {other}' for name, other in arrows
            if not may_import(room_of(name), room_of(other))] == []


def test_folders_of_perception_import_no_step(arrows):
    start = 'enet_ros.perception.'
    inner = [(name.removeprefix(start), other.removeprefix(start)) for name, other in arrows
             if name.startswith(start) and other.startswith(start)]
    assert {name.partition('.')[0] for name, _ in inner if '.' in name} == FOLDERS
    assert [f'{name} imports {other}' for name, other in inner
            if not may_import_in_perception(name, other)] == []


def test_imports_name_modules_that_are_there(trees, arrows):
    assert {other for _, other in arrows} - trees.keys() == set()


def test_no_imports_go_in_a_circle(arrows):
    assert ' -> '.join(find_circle(arrows)) == ''


def test_ros_is_imported_in_its_room_alone(trees):
    assert [f'{name} imports {other}' for name, tree in trees.items()
            if not name.startswith('enet_ros.ros.')
            for other in imports_of(name, tree, trees) if is_ros(other)] == []


def test_an_init_holds_docstrings_and_imports_alone(trees):
    folders = {name.rpartition('.')[0] for name in trees} - {'', PACKAGE.name}
    assert [f'{name} line {node.lineno}' for name in folders for node in trees[name].body
            if not is_allowed_in_init(node)] == []


@pytest.mark.parametrize(('graph', 'circle'), [
    ([('a', 'b'), ('b', 'c'), ('a', 'c')], []),
    ([('a', 'b'), ('b', 'c'), ('c', 'b')], ['b', 'c', 'b']),
    ([('a', 'a')], ['a', 'a'])])
def test_circles_are_found(graph, circle):
    assert find_circle(graph) == circle


@pytest.mark.parametrize(('room', 'other', 'allowed'), [
    ('ros', 'perception', True), ('perception', 'ros', False), ('network', 'backends', False),
    ('backends', 'scene', True), ('scene', 'network', False), ('scene', 'machine', True),
    ('cli', 'ros.tools', True), ('ros', 'ros.tools', False), ('ros.tools', 'ros', True),
    ('perception', 'training', False), ('training', 'segmenter', False), ('training', '', False)])
def test_arrows_against_the_order_are_found(room, other, allowed):
    assert may_import(room, other) == allowed


@pytest.mark.parametrize(('name', 'other', 'allowed'), [
    ('steps', 'images.yuv', True), ('images.yuv', 'steps', False), ('images.yuv', 'resize', True),
    ('images.formats.png', 'images.raw_image', True), ('images.yuv', 'geometry.pose', False),
    ('resize', 'steps', False), ('resize', 'images.yuv', False)])
def test_arrows_out_of_a_folder_of_perception_are_found(name, other, allowed):
    assert may_import_in_perception(name, other) == allowed


def test_imports_inside_functions_count():
    tree = ast.parse('def f():\n'
                     '    from enet_ros import media, Segmenter\n'
                     '    import rclpy.node\n')
    found = list(imports_of('x', tree, {'enet_ros.media'}))
    assert found == ['enet_ros.media', 'enet_ros', 'rclpy.node']
    assert is_ros(found[-1])
