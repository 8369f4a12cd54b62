"""Many samples at once, on Ray Data: several processes of this machine, or a cluster."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
import json
import logging
import os
import pickle
from typing import Any

from .runner import Line, to_json, Worker

#: Shared memory of a Ray of our own [bytes]; what passes through it is paths and numbers.
_STORE_BYTES = 100 * 2**20


@dataclass(frozen=True, kw_only=True)
class RayExecutor:
    """
    Runs samples in worker processes; each loads the model once.

    Without an address a Ray of our own is started on this machine for as long as the samples
    run: it listens on loopback alone, has no dashboard and reports nothing to anyone. On a
    cluster the package and the files are expected at the same paths on every machine.

    :param workers: processes.
    :param address: of a running cluster's head, ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``.
    :param gpus: of each worker; a share lets several use one.
    :raises ValueError: when a number makes no sense.
    """

    workers: int = 1
    address: str = ''
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.gpus < 0:
            raise ValueError(
                f'workers is {self.workers} and gpus {self.gpus}; expected at least 1, and 0'
            )

    def __call__(
        self, make_worker: Callable[[], Worker], samples: Sequence[Any]
    ) -> Iterator[Line]:
        """
        Yield the line of each sample as it is done.

        :raises ImportError: when Ray is not installed.
        :raises RuntimeError: when a Ray of our own would be open to the network.
        """
        if not samples:
            return
        ray = _import_ray(is_local=not self.address)
        ours = not ray.is_initialized()
        if ours:
            self._start(ray)
        try:
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            # One block a sample: a line comes as soon as it is done, and no worker waits.
            rows = ray.data.from_items(
                [{'sample': pickle.dumps(sample)} for sample in samples],
                override_num_blocks=len(samples),
            )
            lines = rows.map(
                _RayWorker,
                fn_constructor_args=(make_worker,),
                compute=ray.data.ActorPoolStrategy(size=self.workers),
                num_cpus=1,
                num_gpus=self.gpus,
            )
            for row in lines.iter_rows():
                yield json.loads(row['line'])
        finally:
            if ours:
                ray.shutdown()

    def _start(self, ray: Any) -> None:
        if self.address:
            ray.init(address=self.address, log_to_driver=False, logging_level='error')
            return
        ray.init(
            address='local',
            num_cpus=self.workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level='error',
            object_store_memory=_STORE_BYTES,
        )
        address = ray.util.get_node_ip_address()
        if not ip_address(address).is_loopback:
            ray.shutdown()
            raise RuntimeError(
                f'Ray would listen on {address}, since it was imported before and read its '
                'settings then; import it later, or start a cluster and give its address'
            )


class _RayWorker:
    """A worker in a process of its own; lines travel as text, so that nothing changes them."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._worker = make_worker()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {'line': to_json(self._worker(pickle.loads(row['sample'])))}


def _import_ray(*, is_local: bool) -> Any:
    # Ray reads these when it is imported.
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
    os.environ.setdefault('RAY_BACKEND_LOG_LEVEL', 'fatal')
    if is_local:
        # Despite its name it decides on Linux as well whether a node's address is that of the
        # network, in which case every process of Ray listens there, or that of the loopback.
        os.environ['RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'] = '0'
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            'several workers need Ray: pip install -r requirements/fleet.txt'
        ) from error
    logging.getLogger('ray.data').setLevel(logging.ERROR)
    return ray
