"""The cache holds what is close to code, so what somebody else can have made is not used."""

import os
import threading

import pytest

from enet_ros.backends.cache import (
    cache_folder,
    cache_problem,
    read_cached,
    read_file,
    write_cached,
    write_file,
)

OTHER_USER = 12345


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder with one good file, 'kept'."""
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'cache'))
    assert write_cached('kept', b'content') and read_cached('kept') == b'content'
    return tmp_path / 'cache'


def give_away(path):
    """Make a path another user's, or skip where that takes more rights."""
    try:
        os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)
    except PermissionError:
        pytest.skip('only root can give files away')


def test_what_is_written_is_the_users_alone(folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / 'kept').stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_user_is_not_read(folder):
    give_away(folder / 'kept')
    assert read_cached('kept') is None


@pytest.mark.parametrize('mode', [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_read(folder, mode):
    (folder / 'kept').chmod(mode)
    assert read_cached('kept') is None
    assert write_cached('kept', b'new') and read_cached('kept') == b'new'


def test_a_link_in_place_of_a_file_is_not_followed(folder, tmp_path):
    assert write_file(tmp_path / 'elsewhere', b'content')
    (folder / 'kept').unlink()
    (folder / 'kept').symlink_to(tmp_path / 'elsewhere')
    assert read_cached('kept') is None
    assert write_cached('kept', b'new') and read_cached('kept') == b'new'
    assert read_file(tmp_path / 'elsewhere') == b'content'  # the link was replaced, not followed


def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused_at_once(folder):
    (folder / 'kept').unlink()
    os.mkfifo(folder / 'kept')
    (folder / 'other').mkdir()
    found = []
    reader = threading.Thread(
        target=lambda: found.extend([read_cached('kept'), read_cached('other')]), daemon=True)
    reader.start()
    reader.join(5.0)
    assert found == [None, None]


def test_another_users_folder_in_tmp_is_not_used(folder):
    give_away(folder)
    assert cache_folder() is None and read_cached('kept') is None
    assert f'{folder} is not used, since other users can write to it or own it' in cache_problem()
    assert not write_cached('more', b'content') and not (folder / 'more').exists()


@pytest.mark.parametrize('mode', [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(folder, mode):
    folder.chmod(mode)
    assert cache_folder() is None and not write_cached('more', b'content')
    assert 'set ENET_ROS_CACHE to a folder of your own' in cache_problem()


def test_a_link_of_another_user_to_a_good_folder_is_not_used(folder, tmp_path, monkeypatch):
    (tmp_path / 'link').symlink_to(folder)
    monkeypatch.setenv('ENET_ROS_CACHE', str(tmp_path / 'link'))
    assert read_cached('kept') == b'content'  # a link of one's own, to a larger disk, is fine
    give_away(tmp_path / 'link')
    assert cache_folder() is None and read_cached('kept') is None
    assert 'other users can write to it or own it' in cache_problem()


@pytest.mark.parametrize(('named', 'path'), [
    ('relative', 'here/relative'), ('~/caches', 'home/caches')])
def test_the_folder_is_absolute_since_children_work_elsewhere(tmp_path, monkeypatch, named, path):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('ENET_ROS_CACHE', named)
    assert cache_folder() == tmp_path / path


def test_a_relative_xdg_folder_is_ignored_as_its_specification_says(tmp_path, monkeypatch):
    monkeypatch.delenv('ENET_ROS_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', 'caches')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == tmp_path / '.cache' / 'enet_ros'


def test_good_files_in_a_folder_of_a_read_only_disk_are_read(folder, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda *_: False)  # root may write anywhere
    assert read_cached('kept') == b'content'
    assert cache_folder() is None and not write_cached('more', b'content')
    assert f'{folder} cannot be written to' in cache_problem()
    folder.chmod(0o777)
    assert read_cached('kept') is None


def test_ctrl_c_while_a_file_is_written_leaves_no_part_of_it(folder, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt
    monkeypatch.setattr(os, 'fsync', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_cached('kept', b'new')
    assert os.listdir(folder) == ['kept'] and read_cached('kept') == b'content'
