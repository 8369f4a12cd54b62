import sys

import numpy as np
import pytest

from roma_ros.nodes.voices import CommandVoice, make_voice, VoiceError

#: Says each byte as a sample, in two channels.
PROGRAM = """
import sys, wave
text = sys.stdin.buffer.read()
with wave.open(sys.stdout.buffer, 'wb') as sound:
    sound.setparams((2, 2, 8000, 0, 'NONE', ''))
    sound.writeframesraw(b''.join(bytes([b, 0, b, 0]) for b in text))
"""


def test_hibari_speaks():
    pytest.importorskip('hibari', reason='hibari-tts is not installed')
    samples, rate_hz = make_voice(()).speak('hello')
    assert 0.2 < len(samples) / rate_hz < 3
    assert samples.dtype == np.int16
    assert np.abs(samples).max() > 1000


def test_a_command_gets_the_text_as_data():
    voice = CommandVoice([sys.executable, '-c', PROGRAM])
    text = '$(rm -rf /); --help "x"'
    samples, rate_hz = voice.speak(text)
    assert rate_hz == 8000
    assert bytes(samples.astype(np.uint8)).decode() == text


@pytest.mark.parametrize(
    ('command', 'reason'),
    [
        (['/no/such/voice'], 'No such file'),
        ([sys.executable, '-c', 'raise SystemExit(3)'], 'exit status 3'),
        ([sys.executable, '-c', 'print("no sound")'], 'RIFF'),
        ([sys.executable, '-c', 'pass'], 'cannot say'),
    ],
)
def test_a_command_that_fails_is_named(command, reason):
    with pytest.raises(VoiceError, match=reason):
        CommandVoice(command).speak('hello')
