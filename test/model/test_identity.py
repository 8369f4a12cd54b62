import shutil

import pytest

from roma_ros.model.identity import model_identity, trained_on
from roma_ros.runtime.factory import default_model


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(default_model(), tmp_path / 'model')


def test_one_changed_weight_makes_another_model(model):
    before = model_identity(model)
    assert before == model_identity(model)
    assert before['name'] == 'model'
    weights = model / 'model.safetensors'
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert model_identity(model)['digest'] != before['digest']


def test_a_model_card_changes_no_model(model):
    before = model_identity(model)
    (model / 'README.md').write_text('other words')
    assert model_identity(model) == before


def test_reads_what_the_model_was_trained_on(model):
    (model / 'README.md').write_text('no front matter')
    assert trained_on(model) is None
    (model / 'README.md').write_text('---\ndatasets:\n- Tabletop\n- YouCook2\n---\nwords')
    assert trained_on(model) == ('tabletop', 'youcook2')
    config = model / 'config.json'
    config.write_text(config.read_text().replace('{', '{"trained_on": ["charades"],', 1))
    assert trained_on(model) == ('charades',)
