"""The nodes as they run on a robot, for a long time: what is lost, how late, at what cost."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
import os
from pathlib import Path
import re
import time
from typing import Any

import numpy as np

from ..cli.processes import ProcessError, Processes
from ..cli.ros_arguments import node_command, ParameterValue
from ..evaluation.demo_recording import build_recording, MIN_SECONDS
from ..evaluation.truth import load_truth
from ..units.unit import UnitFlag
from .machine import describe_machine
from .process_meter import ProcessMeter
from .sound_card import LOUDSPEAKER, MICROPHONE, SoundCard

#: Of the recording, which is played again and again [s]; a shorter run has a shorter one.
_RECORDING_S = 120
_SOUND_HZ = 48_000
#: Samples a second of the speaker's own voice.
_VOICE_HZ = 24_000
_SAMPLE_EVERY_S = 10.0
#: How often a question is typed [s]; answers are utterances that come whatever the model thinks.
_ASK_EVERY_S = 45.0
_QUESTION = 'what do you see?'
_START_TIMEOUT_S = 300.0
#: The node's own patience with a sensor that is late [s].
_PATIENCE_S = 0.5
#: How long the last messages and units may take [s].
_SETTLE_S = 1.5


@dataclass(frozen=True, kw_only=True)
class SoakConfig:
    """
    What runs, and how long.

    :param minutes: of the stream, in real time.
    :param width: of the images.
    :param height: of the images.
    :param rate: speed of the playback; above 1 with ``/clock`` and ``use_sim_time``.
    :param voice: the nodes microphone (48 kHz stereo) and speaker run, on a sound card without
        hardware; else the sound is played with the images, mono.
    :param record: the node recorder runs.
    :param engine: what runs the network.
    """

    minutes: float = 60.0
    width: int = 640
    height: int = 480
    rate: float = 1.0
    voice: bool = False
    record: bool = False
    engine: str = 'torch'

    def __post_init__(self) -> None:
        if self.voice and self.rate != 1:
            raise ValueError(f'rate is {self.rate}, but a sound card knows real time alone')


def run_soak(
    environment: Mapping[str, str],
    folder: Path,
    config: SoakConfig,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Run the node roma on a camera and a microphone, each node in a process of its own.

    What was published is compared with what arrived, once playback has ended and all of it had
    time to arrive. A KeyboardInterrupt ends the run early, and what was measured is returned.

    :param environment: a ROS graph of its own; this process has to be in it, too.
    :param folder: takes the recording, the logs, and what is recorded.
    :param config: what runs.
    :param on_progress: takes what is being done.
    :return: what JSON can hold; see docs/results/robot.md.
    :raises ProcessError: when a node ended as it should not.
    """
    from ..nodes.stream_listener import StreamListener

    folder = folder.resolve()
    seconds = round(min(_RECORDING_S, max(MIN_SECONDS, 60 * config.minutes * config.rate)))
    recording, picture = folder / f'recording_{seconds}.mp4', folder / 'picture.mp4'
    if not recording.with_suffix('.json').is_file():
        on_progress(f'building a recording of {seconds} s')
        build_recording(recording, seconds=seconds)
    sound = _split(recording, picture)
    truth = load_truth(recording.with_suffix('.json'))
    instructions = ['narrate', *(f'alert: {alert.text}' for alert in truth.alerts)]
    card = SoundCard(folder, sound, rate_hz=_SOUND_HZ, played_rate_hz=_VOICE_HZ)
    environment = {**environment, 'ROS_LOG_DIR': str(folder / 'log' / 'ros')}
    if config.voice:
        environment['ALSA_CONFIG_PATH'] = str(card.config)
    (folder / 'stream.mcap').unlink(missing_ok=True)
    about = describe_machine()
    with (
        card,
        Processes(folder / 'log', environment) as processes,
        StreamListener(real_time=config.rate == 1) as listener,
    ):
        commands = _commands(config, folder, picture if config.voice else recording, instructions)
        playback = commands.pop('playback')
        for name, command in commands.items():
            processes.start(name, command)
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not listener.is_active:
            processes.check()
            if time.monotonic() > deadline_s:
                raise ProcessError('the node roma did not become active')
            time.sleep(0.1)
        listener.mark_begin()
        processes.start('playback', playback)
        meter = ProcessMeter({name: processes.pid(name) for name in [*commands, 'playback']})
        meter_self = ProcessMeter({'bench': os.getpid()})
        interrupted = _follow(config, processes, listener, [meter, meter_self], on_progress)
        processes.stop('playback')
        time.sleep(_SETTLE_S)
        # The node at once, before it makes units of the silence; the recorder has the last word.
        for name in sorted(commands, key=['roma', 'microphone', 'speaker', 'recorder'].index):
            processes.stop(name)
    log = (folder / 'log' / 'playback.log').read_text(encoding='utf-8', errors='replace')
    return {
        'benchmark': 'soak',
        **about,
        'config': {**asdict(config), 'instructions': len(instructions)},
        'interrupted': interrupted,
        'lost': _losses(config, listener.heard, log),
        'latency': _latencies(listener.heard, config.rate),
        'nodes': meter.figures() | meter_self.figures(),
        'problems': {name: list(what) for name, what in listener.heard.problems.items()},
        'devices': listener.heard.counters,
    }


def _commands(
    config: SoakConfig, folder: Path, media: Path, instructions: list[str]
) -> dict[str, list[str]]:
    """Return what starts each node; the recorder first, and playback last."""
    sim_time = config.rate != 1
    commands: dict[str, list[str]] = {}
    if config.record:
        commands['recorder'] = node_command('recorder_node', {'path': str(folder / 'stream.mcap')})
    roma: dict[str, ParameterValue] = {
        'engine': config.engine,
        'threads': 1,
        'instructions': instructions,
        'use_sim_time': sim_time,
        # It is time of the stream; what it is for, delays of the machine, take time of the wall.
        'patience_s': _PATIENCE_S * max(1.0, config.rate),
    }
    commands['roma'] = node_command('roma_node', roma)
    if config.voice:
        microphone: dict[str, ParameterValue] = {
            'device': MICROPHONE,
            'sample_rate': _SOUND_HZ,
            'channels': 2,
        }
        commands['speaker'] = [
            *node_command('speaker_node', {'device': LOUDSPEAKER}),
            *('-r', 'utterance:=roma/utterance'),
        ]
        commands['microphone'] = node_command('microphone_node', microphone)
    playback: dict[str, ParameterValue] = {
        'source': str(media),
        'loop': True,
        'rate': config.rate,
        'publish_clock': sim_time,
        'width': config.width,
        'height': config.height,
        'wait_for_subscribers': 1 + config.record,
    }
    commands['playback'] = node_command('playback_node', playback)
    return commands


def _follow(
    config: SoakConfig,
    processes: Processes,
    listener: Any,
    meters: list[ProcessMeter],
    on_progress: Callable[[str], None],
) -> bool:
    """Sample the processes, and ask; return whether it was interrupted."""
    begin_s = time.monotonic()
    end_s = begin_s + config.minutes * 60
    sample_s = begin_s + _SAMPLE_EVERY_S / 2
    begun = False
    ask_s = begin_s + _ASK_EVERY_S / 2
    try:
        while (now_s := time.monotonic()) < end_s:
            processes.check()
            if now_s >= sample_s:
                if not begun:  # before, not all nodes were there
                    listener.mark_begin()
                    begun = True
                for meter in meters:
                    meter.sample()
                sample_s += _SAMPLE_EVERY_S
                on_progress(_progress(listener, (now_s - begin_s) / 60, config.minutes))
            if now_s >= ask_s:
                listener.ask(_QUESTION)
                ask_s += _ASK_EVERY_S
            time.sleep(max(0.0, min(sample_s, ask_s, end_s) - time.monotonic()))
    except KeyboardInterrupt:
        return True
    return False


def _progress(listener: Any, minutes: float, all_minutes: float) -> str:
    with listener.lock:
        status = listener.heard.status
        incomplete = _num_incomplete(listener.heard.unit_flags[listener.heard.begin_units :])
    return (
        f'{minutes:.0f} of {all_minutes:.0f} min, {status.units} units, {incomplete} incomplete, '
        f'{status.units_dropped} dropped, {status.audio_gaps} gaps, '
        f'p95 {status.unit_latency_p95_ms:.0f} ms'
    )


def _num_incomplete(unit_flags: list[int]) -> int:
    lacking = UnitFlag.NO_VIDEO | UnitFlag.NO_AUDIO
    return sum(1 for flag in unit_flags if UnitFlag(flag) & lacking)


def _losses(config: SoakConfig, heard: Any, playback_log: str) -> dict[str, Any]:
    """Compare what was published with what arrived."""
    played = re.search(r'(\d+) images, (\d+) audio chunks \((\d+) samples\)', playback_log)
    late = re.search(r'(\d+) messages late, worst (\d+) ms', playback_log)
    if played is None or late is None:
        raise ProcessError(f'playback did not tell what it published:\n{playback_log}')
    status, begin, flags = heard.status, heard.begin, heard.unit_flags[heard.begin_units :]
    images, samples = int(played[1]), int(played[3])
    indices = heard.unit_indices
    return {
        'images_published': images,
        'images_lost': images - status.frames_received,
        'images_late_for_their_unit': status.frames_late,
        'images_published_late': int(late[1]),
        'images_published_late_worst_ms': int(late[2]),
        'samples_received': status.audio_samples_received,
        # A microphone counts its samples, so that each one lost is a gap.
        'samples_lost': None if config.voice else samples - status.audio_samples_received,
        'audio_gaps': status.audio_gaps - begin.audio_gaps,
        'audio_gaps_at_begin': begin.audio_gaps,
        'audio_chunks_late': status.audio_chunks_late - begin.audio_chunks_late,
        'units': status.units,
        'units_dropped': status.units_dropped,
        'units_missing': indices[-1] + 1 - status.units,
        'units_incomplete': _num_incomplete(flags),
        'units_late': sum(1 for flag in flags if UnitFlag(flag) & UnitFlag.LATE),
        'clock_jumps': status.clock_jumps,
        'utterances': status.utterances,
        'highlights': status.highlights,
    }


def _latencies(heard: Any, rate: float) -> dict[str, Any]:
    """Return how late scores and utterances come after the last sample of their unit."""
    series = {'score': heard.score_latencies_ms, **heard.utterance_latencies_ms}
    figures: dict[str, Any] = {}
    for name, latencies_ms in series.items():
        p50, p95, most = np.percentile(np.array(latencies_ms) / rate, (50, 95, 100))
        figures[name] = {
            'count': len(latencies_ms),
            'ms_p50': round(float(p50), 1),
            'ms_p95': round(float(p95), 1),
            'ms_max': round(float(most), 1),
        }
    return figures


def _split(recording: Path, picture: Path) -> Any:
    """Copy a recording's picture to a file of its own; return its sound, int16 ``[n, 2]``."""
    import av

    with av.open(str(recording)) as source:
        sound = [frame.to_ndarray().reshape(-1) for frame in source.decode(audio=0)]
    with av.open(str(recording)) as source, av.open(str(picture), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    mono = np.concatenate(sound).astype(np.int16)
    return np.repeat(mono[:, None], 2, axis=1)
