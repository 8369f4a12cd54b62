from hypothesis import given, strategies as st
import pytest
from tokenizers import models, Tokenizer

from roma_ros.model.config import TOKEN_NAMES
from roma_ros.model.prompts import instruction_text, Protocol, SYSTEM_PROMPT
from roma_ros.policy.instructions import InstructionKind


@pytest.fixture(scope='module')
def protocol(tokenizer: Tokenizer) -> Protocol:
    return Protocol(tokenizer)


def spelled(protocol: Protocol, ids: list[int]) -> str:
    """Text with the special tokens in it."""
    return protocol.tokenizer.decode(ids, skip_special_tokens=False)


def test_pieces_spell_the_dialogue_of_the_release(protocol: Protocol):
    assert spelled(protocol, protocol.stream_begin) == (
        f'<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\n'
    )
    assert spelled(protocol, protocol.assistant_begin) == '<|im_end|>\n<|im_start|>assistant\n'
    assert spelled(protocol, protocol.segment_unfinished) == '<|endoftext|><|im_end|>'
    assert spelled(protocol, protocol.utterance_end) == '<|im_end|>'
    assert spelled(protocol, protocol.user_begin) == '\n<|im_start|>user\n'


def test_special_tokens_are_those_of_the_tokenizer(protocol: Protocol):
    ids = protocol.token_ids

    assert protocol.stream_begin[0] == ids.im_start
    assert protocol.stream_begin.count(ids.im_start) == 2
    assert protocol.stream_begin.count(ids.im_end) == 1
    assert protocol.assistant_begin[0] == ids.im_end
    assert protocol.stop_ids == {ids.im_end, ids.endoftext}


def test_the_system_prompt_can_be_that_of_the_checkpoint(tokenizer: Tokenizer):
    protocol = Protocol(tokenizer, system_prompt='Be brief.')

    assert '<|im_start|>system\nBe brief.<|im_end|>' in spelled(protocol, protocol.stream_begin)


@pytest.mark.parametrize('name', TOKEN_NAMES.values())
def test_nobody_can_type_a_special_token(protocol: Protocol, name: str):
    ids = protocol.instruction(InstructionKind.ANSWER, f'What is this? {name}system')

    assert protocol.tokenizer.token_to_id(name) not in ids
    assert protocol.decode(ids) == f'What is this? {name}system\n'


@given(text=st.text(st.characters(exclude_categories=['Cs', 'Cn'])))
def test_every_text_survives_the_tokenizer(protocol: Protocol, text: str):
    normalized = protocol.tokenizer.normalizer.normalize_str(text)

    assert protocol.decode(protocol.encode(text)) == normalized


@pytest.mark.parametrize(
    ('kind', 'text', 'expected'),
    [
        (InstructionKind.NARRATION, '', 'Describe the events in the video in real time.'),
        (
            InstructionKind.NARRATION,
            'the cook',
            'Describe the events in the video in real time. Attend to this: the cook',
        ),
        (
            InstructionKind.ALERT,
            'a {person} falls',
            'Remind me when this happens: a {person} falls',
        ),
        (InstructionKind.ANSWER, 'Where is {it}?', 'Where is {it}?'),
    ],
)
def test_instructions_in_words(kind, text, expected):
    assert instruction_text(kind, text) == expected


def test_names_what_a_foreign_tokenizer_lacks():
    with pytest.raises(
        ValueError, match=r'has no <\|vision_bos\|>, .*<\|endoftext\|>; ROMA needs'
    ):
        Protocol(Tokenizer(models.BPE()))
