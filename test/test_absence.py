"""What a machine lacks skips a test, and fails it in CI."""

import pytest
from support import absence
from support.browser import chromium

OUTCOMES = (pytest.fail.Exception, pytest.skip.Exception)  # a skip that escapes is no failure


@pytest.mark.parametrize(('value', 'outcome'), [
    ('true', pytest.fail.Exception), ('', pytest.skip.Exception)])
def test_an_absent_module_or_browser_is_a_failure_in_ci_alone(monkeypatch, value, outcome):
    monkeypatch.setenv('CI', value)
    monkeypatch.setenv('PATH', '/nowhere')
    for need, reason in ((lambda: absence.import_or_skip('no_such_module', 'run setup.sh'),
                          'run setup.sh'), (chromium, 'Chromium is not installed')):
        with pytest.raises(OUTCOMES, match=reason) as raised:
            need()
        assert raised.type is outcome


def test_a_module_that_lacks_another_one_is_not_called_absent(monkeypatch, tmp_path):
    (tmp_path / 'broken_module.py').write_text('import no_such_module')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((ModuleNotFoundError, *OUTCOMES)) as raised:
        absence.import_or_skip('broken_module', 'not installed')
    assert raised.value.name == 'no_such_module'
