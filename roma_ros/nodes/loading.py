"""Loading a model beside everything else."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
import threading
from typing import Generic, TypeVar

_T = TypeVar('_T')


class Loading(Generic[_T]):
    """
    Something that is loaded on a thread of its own, and can be given up.

    :param load: loads it; it calls its argument with what it is about to do, which raises
        CancelledError when nobody wants the result any more.
    """

    def __init__(self, load: Callable[[Callable[[str], None]], _T]) -> None:
        self.progress = ''  #: what it is about to do
        self._load = load
        self._loaded: Future[_T] = Future()
        threading.Thread(target=self._run, name='roma-loading', daemon=True).start()

    def result(self) -> _T:
        """
        Wait for the result.

        :raises CancelledError: when it was given up.
        :raises Exception: what loading raised.
        """
        return self._loaded.result()

    def cancel(self) -> None:
        """Give it up: :meth:`result` returns at once, the thread as soon as it can."""
        self._loaded.cancel()

    def _note(self, progress: str) -> None:
        if self._loaded.cancelled():
            raise CancelledError
        self.progress = progress

    def _run(self) -> None:
        with suppress(InvalidStateError):  # it was given up meanwhile
            try:
                loaded = self._load(self._note)
            except BaseException as error:
                self._loaded.set_exception(error)
            else:
                self._loaded.set_result(loaded)
