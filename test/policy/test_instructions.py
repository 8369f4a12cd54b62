import pytest

from roma_ros.policy.instructions import Instruction, InstructionKind, parse_instruction


@pytest.mark.parametrize(
    ('line', 'kind', 'text', 'threshold'),
    [
        ('narrate', InstructionKind.NARRATION, '', None),
        ('narrate: the kitchen', InstructionKind.NARRATION, 'the kitchen', None),
        ('Alert: a person falls', InstructionKind.ALERT, 'a person falls', None),
        ('alert[0.7]: at 10:30, say it', InstructionKind.ALERT, 'at 10:30, say it', 0.7),
    ],
)
def test_parse_reads_each_form(line, kind, text, threshold):
    instruction = parse_instruction(line, id='a')
    assert instruction == Instruction(id='a', kind=kind, text=text, threshold=threshold)


@pytest.mark.parametrize('line', ['', 'watch: x', 'alert[high]: x', 'alert[0.7: x'])
def test_parse_names_what_it_expects(line):
    with pytest.raises(ValueError, match=r"write 'narrate'|threshold"):
        parse_instruction(line, id='a')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'text': ''}, 'say what to watch for'),
        ({'text': 'x' * 501}, '501 characters, at most 500'),
        ({'text': 'a\x1b[2J'}, r'control character U\+001B'),
        ({'text': 'x', 'threshold': 1.0}, 'threshold 1.0'),
        ({'text': 'x', 'id': ''}, 'needs an id'),
    ],
)
def test_bad_fields_are_refused_with_the_reason(fields, message):
    with pytest.raises(ValueError, match=message):
        Instruction(**({'id': 'a', 'kind': InstructionKind.ALERT} | fields))
