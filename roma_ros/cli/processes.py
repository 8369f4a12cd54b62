"""The demo's child processes: started with a log each, watched, and stopped cleanly."""

from collections.abc import Mapping, Sequence
from pathlib import Path
import signal
import subprocess
from types import TracebackType
from typing import IO

_TAIL_LINES = 20
# How long a process may take to stop after SIGINT [s]; then it is killed, which is a failure.
_STOP_TIMEOUT_S = 20.0


class ProcessError(RuntimeError):
    """A child process ended as it should not; the message has the end of its log."""


class Processes:
    """
    Child processes that end with the ``with`` block, in the reverse order of their start.

    Each runs in a process group of its own, so that Ctrl-C reaches this process alone, which
    then stops them in order.

    :param log_folder: takes ``NAME.log`` for each, with all that it prints.
    :param environment: for all of them.
    """

    def __init__(self, log_folder: Path, environment: Mapping[str, str]) -> None:
        self._log_folder = log_folder
        self._environment = dict(environment)
        self._running: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}

    def __enter__(self) -> 'Processes':
        self._log_folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in reversed(list(self._running)):
            self._end(name)

    def start(self, name: str, command: Sequence[str]) -> None:
        """
        Start a process.

        :raises ProcessError: when the program does not exist.
        """
        log = (self._log_folder / f'{name}.log').open('wb')
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            log.close()
            raise ProcessError(f'{name} cannot be started: {error}') from error
        self._running[name] = (process, log)

    def pid(self, name: str) -> int:
        """Return the process id of one that was started."""
        return self._running[name][0].pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one that was started."""
        self._running[name][0].send_signal(number)

    def forget(self, name: str) -> None:
        """Collect one that was killed; another of its name can be started then."""
        process, log = self._running.pop(name)
        process.wait()
        log.close()

    def poll(self, name: str) -> int | None:
        """Return the exit code of a process that has ended; None while it runs."""
        return self._running[name][0].poll()

    def check(self) -> None:
        """
        Make sure that none has failed.

        :raises ProcessError: when one ended with another code than 0.
        """
        for name, (process, _) in self._running.items():
            if process.poll():
                raise self._failure(name, f'ended with exit code {process.returncode}')

    def stop(self, name: str) -> None:
        """
        End a process by SIGINT, unless it has ended by itself, and wait for it.

        :raises ProcessError: when it does not stop, or its exit code is not 0.
        """
        code = self._end(name)
        if code is None:
            raise self._failure(name, f'did not stop within {_STOP_TIMEOUT_S:.0f} s; killed')
        if code != 0:
            raise self._failure(name, f'ended with exit code {code}')

    def _end(self, name: str) -> int | None:
        process, log = self._running.pop(name)
        with log:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                return process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return None

    def _failure(self, name: str, what: str) -> ProcessError:
        path = self._log_folder / f'{name}.log'
        lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
        tail = ''.join(f'\n  | {line}' for line in lines[-_TAIL_LINES:]) or ' (it is empty)'
        return ProcessError(f'{name} {what}; the end of {path}:{tail}')
