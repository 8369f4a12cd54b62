"""How long the node roma takes to be back after each fault that can be done to it from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
import signal
import statistics
import time
from typing import Any

from ..cli.processes import ProcessError, Processes
from ..cli.ros_arguments import node_command
from ..units.unit import UnitFlag
from .machine import describe_machine

#: How long a sensor is dead, and the process stopped [s].
_FAULT_S = 5.0
#: How long the node may take to be back [s].
_PATIENCE_S = 300.0
_CLOCK_STEP_S = 100.0
_LACKING = UnitFlag.NO_VIDEO | UnitFlag.NO_AUDIO


@dataclass(frozen=True)
class _Bench:
    """What a fault is done with."""

    processes: Processes
    listener: Any
    sensors: Any
    command: list[str]

    def start(self) -> None:
        self.processes.start('roma', self.command)

    def signal(self, number: int) -> None:
        self.processes.signal('roma', number)

    def time_to_good_unit(self) -> float:
        """Return the time until a unit of now is told of that has frames and sound [s]."""
        begin_s = time.monotonic()
        with self.listener.lock:
            seen = len(self.listener.heard.unit_flags)
        while time.monotonic() < begin_s + _PATIENCE_S:
            with self.listener.lock:
                flags = self.listener.heard.unit_flags[seen:]
                latencies_ms = self.listener.heard.score_latencies_ms[seen:]
            offset_ms = self.sensors.offset_s * 1e3
            for flag, latency_ms in zip(flags, latencies_ms, strict=True):
                if not UnitFlag(flag) & _LACKING and abs(latency_ms + offset_ms) < 3000:
                    return time.monotonic() - begin_s
            time.sleep(0.005)
        raise ProcessError(f'the node roma was not back after {_PATIENCE_S:.0f} s')


def _camera_dies(bench: _Bench) -> None:
    bench.sensors.camera = False
    time.sleep(_FAULT_S)
    bench.sensors.camera = True


def _microphone_dies(bench: _Bench) -> None:
    bench.sensors.microphone = False
    time.sleep(_FAULT_S)
    bench.sensors.microphone = True


def _both_die(bench: _Bench) -> None:
    bench.sensors.camera = bench.sensors.microphone = False
    time.sleep(_FAULT_S)
    bench.sensors.camera = bench.sensors.microphone = True


def _clock_ahead(bench: _Bench) -> None:
    bench.sensors.offset_s = _CLOCK_STEP_S


def _clock_back(bench: _Bench) -> None:
    bench.sensors.offset_s = 0.0


def _process_stops(bench: _Bench) -> None:
    bench.signal(signal.SIGSTOP)
    time.sleep(_FAULT_S)
    bench.signal(signal.SIGCONT)


def _process_is_killed(bench: _Bench) -> None:
    bench.signal(signal.SIGKILL)
    bench.processes.forget('roma')
    bench.start()


def _deactivated(bench: _Bench) -> None:
    bench.listener.change_state('deactivate')
    bench.listener.change_state('activate')


def _cleaned_up(bench: _Bench) -> None:
    for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
        bench.listener.change_state(transition)


#: What is done; the clock starts at the end of it, when nothing is wrong any more.
FAULTS: dict[str, Callable[[_Bench], None]] = {
    'camera dead for 5 s': _camera_dies,
    'microphone dead for 5 s': _microphone_dies,
    'both dead for 5 s': _both_die,
    'stamps set 100 s ahead': _clock_ahead,
    'stamps set 100 s back': _clock_back,
    'process stopped for 5 s': _process_stops,
    'deactivated and activated': _deactivated,
    'cleaned up and configured': _cleaned_up,
    'process killed and started': _process_is_killed,
}


def run_recovery(
    environment: Mapping[str, str],
    folder: Path,
    *,
    rounds: int = 5,
    only: str = '',
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Do each fault to the node, and measure how long it takes until a unit of now is told again.

    One comes a second: without any fault that takes up to a second and its latency, as ``none``
    tells.

    :param environment: a ROS graph of its own; this process has to be in it, too.
    :param folder: takes the logs.
    :param rounds: how often each is done.
    :param only: those whose names contain it.
    :param on_progress: takes what is being done.
    :return: what JSON can hold.
    :raises ProcessError: when the node does not come back.
    :raises ValueError: when no fault is named so.
    """
    faults = {name: do for name, do in FAULTS.items() if only in name}
    if not faults:
        raise ValueError(f'no fault is named {only!r}; there are: {", ".join(FAULTS)}')
    from ..nodes.drill import DrillSensors
    from ..nodes.stream_listener import StreamListener

    command = node_command('roma_node', {'threads': 1})
    about = describe_machine()
    times_s: dict[str, list[float]] = {name: [] for name in ('none', *faults)}
    with (
        Processes(folder.resolve() / 'log', environment) as processes,
        StreamListener() as listener,
        DrillSensors(listener.node) as sensors,
    ):
        bench = _Bench(processes, listener, sensors, command)
        bench.start()
        bench.time_to_good_unit()
        for number in range(1, rounds + 1):
            times_s['none'].append(bench.time_to_good_unit())
            for name, do in faults.items():
                on_progress(f'round {number} of {rounds}: {name}')
                do(bench)
                times_s[name].append(bench.time_to_good_unit())
        processes.stop('roma')
    return {
        'benchmark': 'recovery',
        **about,
        'rounds': rounds,
        'faults': {
            name: {
                's_median': round(statistics.median(values), 2),
                's_max': round(max(values), 2),
            }
            for name, values in times_s.items()
        },
    }
