"""The node ``speaker``: utterances to speech, out of a loudspeaker."""

from collections.abc import Sequence
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from ..msg import AudioChunk, Utterance
from ..policy.instructions import InstructionKind
from ..units.unit import UNIT_NS
from .conversions import ns_to_time
from .device import DeviceError, DeviceNode
from .executable import run_node
from .parameter_tables import SpeakerParameters
from .parameters import declare_parameters, read_parameters
from .portaudio import find_device, import_pyaudio, open_portaudio
from .qos import latched
from .speech_queue import Phrase, SpeechQueue
from .voices import make_voice, Voice, VoiceError

#: Sound that is handed to the device at once [s]: so long a word goes on after it is cut off,
#: and what the device has buffered.
_CHUNK_S = 0.02
#: How often the node looks whether it is to stop [s].
_WAIT_S = 0.2


class SpeakerNode(DeviceNode):
    """
    Speaks what comes on ``utterance``, and tells on ``is_speaking`` while it does.

    :raises ValueError: when PyAudio or the voice is missing, or a parameter is wrong.
    """

    silence_is_an_error = False

    def __init__(self) -> None:
        super().__init__('speaker')
        declare_parameters(self, SpeakerParameters)
        self._settings = read_parameters(self, SpeakerParameters)
        self._pyaudio = import_pyaudio()
        try:
            self._voice: Voice = make_voice(tuple(filter(None, self._settings.voice_command)))
        except VoiceError as error:
            raise ValueError(str(error)) from error
        self._queue = SpeechQueue(narration_age_s=self._settings.narration_age_s)
        self._is_speaking = False
        self._speaking = self.create_publisher(Bool, 'is_speaking', latched())
        self._tell(False)
        self._reference = self.create_publisher(AudioChunk, 'audio_reference', 100)
        self.create_subscription(Utterance, 'utterance', self._on_utterance, 10)
        self.create_subscription(Bool, 'barge_in', self._on_barge_in, 10)
        self.create_service(Trigger, '~/stop', self._on_stop)
        self.start(retry_max_s=self._settings.retry_max_s)

    def capture(self) -> None:
        """Speak until the node stops, or the device fails."""
        with open_portaudio(self._pyaudio) as audio:
            info = find_device(audio, self._settings.device, direction='Output')
            self.opened(str(info['name']))
            while not self.stopping.is_set():
                phrase = self._queue.take(_WAIT_S)
                if phrase is None:
                    continue
                try:
                    self._speak(audio, info, phrase)
                finally:
                    self._queue.done()
                    self._tell(False)
                    self.counters.update(self._queue.counters - self.counters)

    def _speak(self, audio: Any, info: dict[str, Any], phrase: Phrase) -> None:
        try:
            samples, rate_hz = self._voice.speak(phrase.text)
        except VoiceError as error:
            self.counters['failed'] += 1
            self.get_logger().error(str(error))
            return
        if self._queue.is_cut_off:
            return
        try:
            stream = audio.open(
                rate=rate_hz,
                channels=1,
                format=self._pyaudio.paInt16,
                output=True,
                output_device_index=info['index'],
            )
        except (OSError, ValueError) as error:
            raise DeviceError(
                f'cannot open {info["name"]!r} with {rate_hz} Hz: {error}'
            ) from error
        self._tell(True)
        try:
            self._play(stream, samples, rate_hz)
        except OSError as error:
            raise DeviceError(f'lost {info["name"]!r}: {error}') from error
        finally:
            stream.close()

    def _play(self, stream: Any, samples: npt.NDArray[np.int16], rate_hz: int) -> None:
        """Play, and wait until the end is heard; or end at once, when it is cut off."""
        size = round(_CHUNK_S * rate_hz)
        begin_ns = self.get_clock().now().nanoseconds
        for begin in range(0, len(samples), size):
            if self._queue.is_cut_off or self.stopping.is_set():
                return
            data = samples[begin : begin + size].tobytes()
            self._tell_what_is_played(data, begin_ns + begin * UNIT_NS // rate_hz, rate_hz)
            stream.write(data)
        self.count_message()
        time.sleep(min(1.0, stream.get_output_latency()))

    def _tell_what_is_played(self, data: bytes, stamp_ns: int, rate_hz: int) -> None:
        if not self._reference.get_subscription_count():
            return
        chunk = AudioChunk(
            sample_rate=rate_hz,
            channels=1,
            sample_format=AudioChunk.FORMAT_S16,
            first_sample=stamp_ns * rate_hz // UNIT_NS,  # by time, so that pauses show
            data=data,
        )
        chunk.header.stamp = ns_to_time(stamp_ns)
        self._reference.publish(chunk)

    def _tell(self, speaking: bool) -> None:
        if speaking != self._is_speaking or not speaking:
            self._speaking.publish(Bool(data=speaking))
        self._is_speaking = speaking

    def _on_utterance(self, message: Utterance) -> None:
        text = message.text.strip()
        if text:
            kind = InstructionKind(message.kind)
            self._queue.add(Phrase(message.id, kind, text, time.monotonic()))

    def _on_barge_in(self, message: Bool) -> None:
        if message.data:
            self._queue.silence()

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._queue.silence()
        response.success = True
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(SpeakerNode, args)
