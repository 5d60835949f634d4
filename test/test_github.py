"""The files that GitHub reads: GitHub is not here, so their form and their words are checked."""

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')

REPOSITORY = Path(__file__).resolve().parent.parent
GITHUB = REPOSITORY / '.github'
FORMS = ('bug.yml', 'feature.yml')
#: What an element of a form may be, and what each of them must have.
#: https://docs.github.com/communities, "Syntax for GitHub's form schema"
ELEMENTS = {'markdown': {'value'}, 'input': {'label'}, 'textarea': {'label'},
            'dropdown': {'label', 'options'}, 'checkboxes': {'label', 'options'}}


def read(name):
    return yaml.safe_load((GITHUB / name).read_text())


@pytest.mark.parametrize('name', FORMS)
def test_a_form_has_what_github_wants(name):
    form = read(f'ISSUE_TEMPLATE/{name}')
    assert form.keys() <= {'name', 'description', 'title', 'labels', 'body', 'assignees'}
    assert form['name'] and form['description'] and form['body']
    for element in form['body']:
        assert ELEMENTS[element['type']] <= element['attributes'].keys()
        assert element.keys() <= {'type', 'id', 'attributes', 'validations'}
    ids = [element['id'] for element in form['body'] if 'id' in element]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r'[\w-]+', one) for one in ids)


def test_a_bug_comes_with_what_the_doctor_says():
    from enet_ros.cli.doctor import add_arguments
    text = (GITHUB / 'ISSUE_TEMPLATE/bug.yml').read_text()
    assert '`enet-ros doctor --json`' in text and callable(add_arguments)


def test_links_of_the_chooser_lead_to_files():
    for link in read('ISSUE_TEMPLATE/config.yml')['contact_links']:
        assert link['name'] and link['about']
        assert (REPOSITORY / link['url'].split('/blob/main/')[1]).is_file()


def test_the_workflow_runs_what_exists():
    workflow = read('workflows/ci.yml')
    assert workflow[True].keys() == {'push', 'pull_request'}  # YAML 1.1 reads `on` as true
    assert workflow['permissions'] == {'contents': 'read'}
    for job in workflow['jobs'].values():
        assert job['runs-on'] and job['timeout-minutes'] <= 90
        for step in job['steps']:
            assert ('uses' in step) != ('run' in step)
            assert re.fullmatch(r'[\w/-]+@v\d+', step.get('uses', 'a/b@v1'))
    commands = [step['run'] for job in workflow['jobs'].values() for step in job['steps']
                if 'run' in step]
    assert '.ci/run' in commands and (REPOSITORY / '.ci/run').is_file()
    launched = next(re.search(r'ros2 launch enet_ros (\S+)', command) for command in commands
                    if 'ros2 launch' in command)
    assert (REPOSITORY / 'launch' / launched[1]).is_file()


def test_what_the_template_of_a_change_asks_for_exists():
    text = (GITHUB / 'PULL_REQUEST_TEMPLATE.md').read_text()
    makefile = (REPOSITORY / 'Makefile').read_text()
    for target in re.findall(r'`make (\w+)`', text):
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), target
    for path in re.findall(r'`(\w+\.\w+)`', text):
        assert (REPOSITORY / path).is_file(), path
