"""Text to speech, offline."""

from collections.abc import Sequence
import io
import subprocess
from typing import Protocol
import wave

import numpy as np
import numpy.typing as npt

#: How long a command may take for a phrase [s].
_COMMAND_TIMEOUT_S = 30.0


class VoiceError(Exception):
    """The voice cannot speak; the text says why and what to do."""


class Voice(Protocol):
    """Speaks text; one thread uses it."""

    def speak(self, text: str) -> tuple[npt.NDArray[np.int16], int]:
        """
        Return the sound of a text.

        :return: int16 ``[n]``, mono, and the sample rate [Hz].
        :raises VoiceError: when it cannot.
        """
        ...


class HibariVoice:
    """
    The voice of hibari-tts, whose network comes with its package.

    :raises VoiceError: when the package is missing.
    """

    def __init__(self) -> None:
        try:
            from hibari import Hibari  # type: ignore[import-untyped]
        except ImportError as error:
            raise VoiceError(
                f'hibari-tts cannot be imported ({error}); pip install hibari-tts==0.2.1, or give '
                'another program as voice_command'
            ) from error
        self._hibari = Hibari()

    def speak(self, text: str) -> tuple[npt.NDArray[np.int16], int]:
        """Return the sound of a text; see :meth:`Voice.speak`."""
        try:
            samples = np.asarray(self._hibari(text, seed=0), dtype=np.float32)
        except Exception as error:  # of what its network cannot read
            raise VoiceError(f'hibari-tts cannot say {text!r}: {error!r}') from error
        return _to_int16(samples), int(self._hibari.sample_rate)


class CommandVoice:
    """
    Any program that reads text from its standard input and writes a WAV file to its output.

    The text is data: it is no argument of the program, and there is no shell.

    :param command: program and arguments, as in ``espeak-ng --stdin --stdout``.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    def speak(self, text: str) -> tuple[npt.NDArray[np.int16], int]:
        """Return the sound of a text; see :meth:`Voice.speak`."""
        try:
            sound = subprocess.run(
                self._command,
                input=text.encode(),
                capture_output=True,
                check=True,
                timeout=_COMMAND_TIMEOUT_S,
            ).stdout
            return _read_wave(sound)
        except (OSError, EOFError, ValueError, wave.Error, subprocess.SubprocessError) as error:
            raise VoiceError(f'{self._command[0]} cannot say {text!r}: {error}') from error


def make_voice(command: Sequence[str]) -> Voice:
    """
    Return the voice of a command, or hibari's where there is none.

    :raises VoiceError: when it cannot be had.
    """
    return CommandVoice(command) if command else HibariVoice()


def _read_wave(data: bytes) -> tuple[npt.NDArray[np.int16], int]:
    with wave.open(io.BytesIO(data)) as sound:
        if sound.getsampwidth() != 2:
            raise ValueError(f'WAV has {8 * sound.getsampwidth()} bits, expected 16')
        # A program that writes into a pipe cannot know the length that the header tells.
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype='<i2')
        mono = samples.reshape(-1, sound.getnchannels()).mean(axis=1)
        return mono.astype(np.int16), sound.getframerate()


def _to_int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
