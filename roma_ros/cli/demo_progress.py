"""What the demo waits for, and what it shows meanwhile."""

from collections import deque
from collections.abc import Sequence
import time
from typing import TYPE_CHECKING

from .processes import ProcessError, Processes
from .progress import bar, plain, ProgressLine

if TYPE_CHECKING:
    from ..nodes.observer import StreamObserver, StreamView

#: A shorter rest of the recording makes no unit [s].
REST_S = 0.1
# How long the node may take to load the model [s].
_START_TIMEOUT_S = 180.0
# How much of an utterance is shown [characters].
_SHOWN_CHARS = 60
# Where the recording's length is not known, the stream is over when nothing new has come for so
# long [s]; waiting ends in any case after:
_QUIET_S, _FINISH_TIMEOUT_S = 2.5, 60.0
# How long a camera may keep silent [s].
_SILENCE_S = 20.0
_POLL_S = 0.2


def wait_for_model(processes: Processes, observer: 'StreamObserver', line: ProgressLine) -> None:
    """
    Wait until the node is active.

    :raises ProcessError: when it cannot start.
    :raises TimeoutError: when it takes too long.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not observer.view.active:
        processes.check()
        if observer.view.failed:
            raise ProcessError(f'the roma node cannot start: {observer.view.detail}')
        if time.monotonic() > deadline:
            raise TimeoutError(
                f'the roma node was not active after {_START_TIMEOUT_S:.0f} s '
                f'({observer.view.detail or "no status"}); see its log'
            )
        line.show(f'loading the model … {plain(observer.view.detail)}')
        time.sleep(_POLL_S)


def follow_recording(
    processes: Processes,
    observer: 'StreamObserver',
    line: ProgressLine,
    duration_s: float,
    rate: float,
    questions: Sequence[tuple[float, str]],
) -> None:
    """
    Show the progress until a recording is played and everything in it is seen.

    :param duration_s: of the recording; 0: not known.
    :param rate: of the playback.
    :param questions: to be typed: when [s], and what, in order.
    :raises TimeoutError: when the node cannot keep up.
    """
    start = time.monotonic()
    waiting = deque(questions)
    ended: float | None = None
    while True:
        now, view = time.monotonic(), observer.view
        processes.check()
        # The node's own seconds count: what it has not seen yet it is not asked about.
        while waiting and waiting[0][0] <= view.stream_s:
            observer.ask(waiting.popleft()[1])
        line.show(_progress(view, min((now - start) * rate, duration_s), duration_s))
        if ended is None and processes.poll('playback') is not None:
            ended = now
        # Playback may still be at its end; what comes now is silence.
        if 0 < duration_s <= view.stream_s + REST_S:
            break
        if ended is not None:
            quiet_s = now - max(ended, view.last_unit_s)
            if view.queue_length == 0 and quiet_s > _QUIET_S:
                break
            if now - ended > _FINISH_TIMEOUT_S:
                raise TimeoutError(
                    f'{view.queue_length} units still wait {_FINISH_TIMEOUT_S:.0f} s after the '
                    'end of the recording; the model is too slow for this machine'
                )
        time.sleep(_POLL_S)
    line.finish()
    if not view.units:
        raise ValueError('no unit was scored; see the logs of roma and playback')


def follow_camera(
    processes: Processes, observer: 'StreamObserver', line: ProgressLine, duration_s: float
) -> None:
    """
    Show the progress until a camera has been looked through for so long.

    :raises TimeoutError: when nothing comes from it.
    """
    newest_s = time.monotonic()
    while (view := observer.view).stream_s < duration_s:
        processes.check()
        newest_s = max(newest_s, view.last_unit_s)
        if time.monotonic() - newest_s > _SILENCE_S:
            raise TimeoutError(
                f'nothing has come from camera and microphone for {_SILENCE_S:.0f} s; see the '
                'logs of camera, microphone and roma'
            )
        line.show(_progress(view, view.stream_s, duration_s))
        time.sleep(_POLL_S)
    line.finish()


def _progress(view: 'StreamView', played_s: float, duration_s: float) -> str:
    text = plain(view.utterance)
    if len(text) > _SHOWN_CHARS:
        text = '…' + text[1 - _SHOWN_CHARS :]
    said = f'  “{text}”' if text else ''
    return (
        f'{played_s:3.0f}/{duration_s:.0f} s  {view.units:3d} units  '
        f'{bar(view.probability, view.threshold)} {view.probability:.2f}  '
        f'p95 {view.latency_p95_ms:.0f} ms{said}'
    )
