"""The data file of train and eval: what it says, and the reason for which it is refused."""

import re

import pytest

from enet_ros.training.data_file import read_sources
from enet_ros.training.datasets import open_dataset
from enet_ros.training.labeled_frames import DatasetError
from enet_ros.training.sources import Source


def test_a_data_file_says_roots_beside_itself_and_what_classes_mean(tmp_path):
    path = tmp_path / 'data.yaml'
    path.write_text("""sources:
      - {dataset: camvid, root: /camvid, share: 0.5}
      - dataset: folders
        root: site
        rename: {track: Road, hedge: [Tree, Fence], mud: null}
        val_split: null
    """)
    camvid, site = read_sources(path)
    assert camvid == Source('camvid', '/camvid', 0.5)
    assert site.root == str(tmp_path / 'site')
    assert site.rename == {'track': 'Road', 'hedge': ['Tree', 'Fence'], 'mud': None}
    assert site.val_split is None


@pytest.mark.parametrize(('text', 'part'), [
    ('a: [', 'unreadable'), ('sources: []', 'wanted a list named sources'),
    ('sources: {dataset: lums, root: a}', 'wanted a list named sources'),
    ('- {dataset: lums, root: a}', 'wanted a list named sources'),
    ('sources: [{dataset: lums, root: a}]\nshares: 3', "has the key 'shares' beside sources"),
    ('sources: [{root: a}]', "source 1 is {'root': 'a'}, wanted dataset and root"),
    ('sources: [null]', 'source 1 is None, wanted dataset and root'),
    ('sources: [{dataset: lums, root: a, val_splt: b}]',
     "source 1 has the key 'val_splt', wanted some of dataset, root, share, classes, rename, "
     "train_split, val_split; did you mean 'val_split'?"),
    ('sources: [{dataset: lums, root: a, 5: b}]', 'source 1 has the key 5, wanted some of'),
    ('sources: [{dataset: lums, root: a, val_split: null}]', 'val_split is null in every source')])
def test_a_data_file_that_makes_no_sense_is_refused(tmp_path, text, part):
    (tmp_path / 'data.yaml').write_text(text)
    with pytest.raises(DatasetError, match=re.escape(part)):
        read_sources(tmp_path / 'data.yaml')


@pytest.mark.parametrize(('key', 'text', 'said'), [
    ('dataset', 'bdd', "'bdd', wanted one of camvid"), ('dataset', '[lums]', "['lums']"),
    ('dataset', '{lums: 1}', "{'lums': 1}"), ('dataset', 'null', 'None'),
    ('root', '5', '5, wanted the path of a folder, as text'), ('root', 'null', 'None'),
    ('root', '[a]', "['a']"), ('root', '""', "''"), ('root', '2001-01-01', 'datetime.date'),
    ('share', '-1', '-1, wanted a number above 0'), ('share', 'yes', 'True'),
    ('share', 'null', 'None'), ('share', '"0.5"', "'0.5'"), ('share', '.nan', 'nan'),
    ('share', '1e-3', "'1e-3', wanted a number above 0, such as 0.001; YAML reads 1e-3 as text"),
    ('share', '.inf', 'inf'), ('share', '1' + 400 * '0', '1' + 79 * '0' + '..., wanted a number'),
    ('classes', '5', '5, wanted the path of a class file, as text'),
    ('classes', '[a.yaml]', "['a.yaml']"),
    ('rename', '[b]', "['b'], wanted a mapping"), ('rename', 'null', 'None'),
    ('train_split', '5', '5, wanted the name of a split, as text'),
    ('train_split', 'null', 'None'), ('train_split', '""', "''"),
    ('val_split', '[val]', "['val'], wanted the name of a split, as text, or null"),
    ('val_split', 'no', 'False')])
def test_a_value_of_another_kind_is_named_with_its_key(tmp_path, key, text, said):
    lines = [f'{name}: {value}' for name, value
             in ({'dataset': 'folders', 'root': 'a'} | {key: text}).items()]
    (tmp_path / 'data.yaml').write_text('sources:\n- {dataset: lums, root: a}\n- ' +
                                        '\n  '.join(lines))
    with pytest.raises(DatasetError, match=re.escape(f'source 2: {key} is {said}')):
        read_sources(tmp_path / 'data.yaml')


@pytest.mark.parametrize(('rename', 'said'), [
    ('{on: Road}', 'rename has the class True, wanted text; put the name in quotes'),
    ('{5: Road}', 'rename has the class 5'), ('{track: 5}', "rename of 'track' is 5, wanted"),
    ('{track: {Car: 1}}', "rename of 'track' is {'Car': 1}"),
    ('{track: [Car, null]}', "rename of 'track' is ['Car', None]"),
    ('{track: [[Car]]}', "rename of 'track' is [['Car']]"),
    ('{track: []}', "rename of 'track' is []")])
def test_a_class_that_is_no_text_is_named(tmp_path, rename, said):
    (tmp_path / 'data.yaml').write_text(
        f'sources: [{{dataset: lums, root: a, rename: {rename}}}]')
    with pytest.raises(DatasetError, match=re.escape(f'source 1: {said}')):
        read_sources(tmp_path / 'data.yaml')


def test_only_folders_take_a_class_file(tmp_path):
    with pytest.raises(DatasetError, match='own.yaml.*lums has classes of its own'):
        open_dataset('lums', tmp_path, 'train', 'own.yaml')
