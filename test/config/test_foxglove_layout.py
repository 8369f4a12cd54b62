"""Every topic and field in the layout against what the nodes publish and the messages have."""

import json
from pathlib import Path
import re

import pytest

from roma_ros.nodes.parameter_tables import RecorderParameters

typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text(encoding='utf-8'))
PANELS = LAYOUT['configById']
#: What the recorder writes is what the nodes publish, but images, which it writes as JPEG.
TOPICS = {
    '/' + name.lstrip('/'): type_name
    for name, type_name in (entry.split() for entry in RecorderParameters().topics)
}
TOPICS['/image/compressed'] = 'sensor_msgs/msg/CompressedImage'
#: A topic, filters, and fields: /a/b{key==value}.field.inner
PATH = re.compile(r'(?P<topic>(/\w+)+)(?P<filters>(\{\w+==[^}]+\})*)(?P<fields>(\.\w+)*)')


@pytest.fixture(scope='module')
def definitions():
    """Return the fields of each message, and the constants of ours."""
    store = typesys.get_typestore(typesys.Stores.LATEST)
    for path in sorted((ROOT / 'msg').glob('*.msg')):
        text = path.read_text(encoding='utf-8')
        store.register(typesys.get_types_from_msg(text, f'roma_ros/msg/{path.stem}'))
    return store.fielddefs


def paths():
    """Return every message path in the layout, with its panel."""
    for name, panel in PANELS.items():
        found = [path['value'] for path in panel.get('paths', [])]
        found += [panel[key] for key in ('topicPath', 'topicToRender') if key in panel]
        found += [panel['imageMode']['imageTopic']] if 'imageMode' in panel else []
        assert found, f'{name} shows nothing'
        yield from ((name, path) for path in found)


def fields_of(definitions, type_name):
    return dict(definitions[type_name][1])


@pytest.mark.parametrize(('panel', 'path'), list(paths()))
def test_topics_and_fields_exist(definitions, panel, path):
    match = PATH.fullmatch(path)
    assert match, path
    type_name = TOPICS[match['topic']]
    fields = fields_of(definitions, type_name)
    for key, value in re.findall(r'\{(\w+)==([^}]+)\}', match['filters']):
        assert key in fields
        if value.startswith('$'):
            assert value[1:] in LAYOUT['globalVariables']
        else:
            constants = {
                c[0]: c[2] for c in definitions[type_name.replace('SpeakScore', 'Utterance')][0]
            }
            assert int(value) in [v for name, v in constants.items() if name.startswith('KIND_')]
    for name in match['fields'].split('.')[1:]:
        assert name in fields, f'{path}: {type_name} has {sorted(fields)}'
        _, inner = fields[name]
        fields = fields_of(definitions, inner) if isinstance(inner, str) else {}
    kind_of_panel = panel.split('!')[0]
    if kind_of_panel == 'Image':
        assert type_name == 'sensor_msgs/msg/CompressedImage'
    elif kind_of_panel.startswith('Diagnostic'):
        assert type_name == 'diagnostic_msgs/msg/DiagnosticArray'
    elif kind_of_panel in ('Plot', 'StateTransitions'):
        assert fields == {}, f'{path} is no plain value'


def test_all_that_matters_is_shown():
    shown = {path for _, path in paths()}
    for words in ('.probability', '.threshold', '/roma/utterance.text', '/image/compressed'):
        assert any(words in path for path in shown)
    assert '/diagnostics' in shown


def test_every_panel_has_its_place():
    def places(node):
        return [node] if isinstance(node, str) else places(node['first']) + places(node['second'])

    assert sorted(places(LAYOUT['layout'])) == sorted(PANELS)
