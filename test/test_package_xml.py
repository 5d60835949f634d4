"""package.xml and CHANGELOG.rst are as rosdep and bloom want them and name what is imported."""

import ast
import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
#: Module -> key of rosdep, by rosdep/python.yaml of ros/rosdistro (looked up in November 2026).
KEYS = {'PIL': 'python3-pil', 'argcomplete': 'python3-argcomplete', 'cv2': 'python3-opencv',
        'numpy': 'python3-numpy', 'pytest': 'python3-pytest', 'tqdm': 'python3-tqdm',
        'hypothesis': 'python3-hypothesis', 'pytest_timeout': 'python3-pytest-timeout',
        'yaml': 'python3-yaml', 'tf2_ros': 'tf2_ros_py'}
#: rosdep has no key for these, or one whose version is too old: scripts/setup.sh installs them.
BY_SETUP = {'openvino', 'safetensors', 'simplejpeg', 'torch', 'torch_tensorrt', 'tensorrt',
            'triton'}
#: Depends that no import shows.
OTHERS = {'cv_bridge': 'nodes that read our images (docs/downstream.md)',
          'message_filters': 'nodes that join our topics (docs/downstream.md)',
          'sensor_msgs_py': 'nodes that read ~/points (docs/downstream.md)',
          'rosidl_default_runtime': 'our messages', 'rviz2': 'launch/segment.launch.py'}
SOURCES = [path for folder in ('enet_ros', 'launch', 'examples')
           for path in (REPOSITORY / folder).rglob('*.py')]
#: Folders whose packages are an extra of pyproject.toml each, and do not come by rosdep.
EXTRAS = {'training', 'importers', 'bench', 'comparison', 'export', 'recordings', 'view'}


def modules_of(path):
    """Return the top names of the modules that a file imports, in functions as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split('.')[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split('.')[0]


@pytest.fixture(scope='module')
def package():
    return pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed')\
        .parse_package(REPOSITORY / 'package.xml')


def test_colcon_skips_every_test_where_the_packages_of_pip_are_absent():
    text = (REPOSITORY / 'CMakeLists.txt').read_text()
    registered = re.findall(r'ament_add_pytest_test\((.*)\)', text)
    assert len(registered) == 3
    assert all(test.endswith(' ${skip}') for test in registered)


def test_it_is_valid_and_has_the_version_of_pyproject(package):
    package.validate()
    assert f'version = "{package.version}"' in (REPOSITORY / 'pyproject.toml').read_text()


def test_what_the_node_imports_is_named_and_what_is_named_is_imported(package):
    inside = [path for path in SOURCES if not EXTRAS & set(path.relative_to(REPOSITORY).parts)]
    extras = (REPOSITORY / 'pyproject.toml').read_text().split('optional-dependencies]')[1]
    of_extras = set(re.findall(r'"([\w-]+)[^"]*"', extras.split('[project.s')[0])) | {'rerun'}
    imported = {module for path in inside for module in modules_of(path)}
    imported -= set(sys.stdlib_module_names) | {'enet_ros', 'slow_down_logic'}
    named = {depend.name for depend in package.exec_depends}
    missing = {KEYS.get(module, module) for module in imported
               if module.replace('_', '-') not in of_extras or module in KEYS}
    assert missing - BY_SETUP - named == set(), 'imported, but not in package.xml'
    wanted = {KEYS.get(module, module) for module in imported} | OTHERS.keys()
    assert named - wanted == set(), 'in package.xml, but imported nowhere'


def test_every_key_is_one_of_ros_or_one_that_was_looked_up(package):
    for depend in package.exec_depends + package.test_depends + package.buildtool_depends:
        assert re.fullmatch(r'[a-z][a-z0-9_]*', depend.name) or depend.name in KEYS.values()


@pytest.mark.filterwarnings('ignore:nodes.Node.traverse:DeprecationWarning')  # of catkin_pkg
def test_a_release_would_find_its_changes(package):
    changelog = pytest.importorskip('catkin_pkg.changelog')
    text = (REPOSITORY / 'CHANGELOG.rst').read_text()
    # catkin_prepare_release puts version and date in place of the heading.
    released = text.replace('Forthcoming\n-----------\n', '9.9.9 (2030-01-01)\n' + 18 * '-' + '\n')
    assert released != text
    log = changelog.populate_changelog_from_rst(
        changelog.Changelog(package_name=package.name), released)
    assert log.get_date_of_version('9.9.9').year == 2030
    (changes,) = log.get_content_of_version('9.9.9')
    assert len(changes.bullets) > 20


def test_the_changelog_is_clean_restructured_text():
    core = pytest.importorskip('docutils.core')
    core.publish_doctree((REPOSITORY / 'CHANGELOG.rst').read_text(), settings_overrides={
        'halt_level': 2, 'report_level': 2})
