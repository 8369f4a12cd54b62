"""DDS settings under which camera images arrive, and nobody outside this machine can listen."""

from collections.abc import MutableMapping
from importlib.metadata import PackageNotFoundError, version
import os

from ..share import share_folder

#: The variables in which a user may have chosen how Fast DDS works.
_FAST_DDS_VARIABLES = (
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',  # Fast DDS 2: Humble, Jazzy
    'FASTDDS_BUILTIN_TRANSPORTS',
)


def set_dds_defaults(
    environment: MutableMapping[str, str] = os.environ, *, reach: str = 'localhost'
) -> None:
    """
    Choose large shared memory, and how far to reach, where the user has chosen nothing.

    With Fast DDS's own defaults 1 to 14 of 60 raw 640×480 images arrive between two processes,
    and sockets listen on all interfaces. ``ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`` changes
    neither: it swaps the transports for small ones, ``FASTDDS_BUILTIN_TRANSPORTS`` included.
    Call this before ``rclpy.init``; child processes inherit it.

    :param environment: what to change.
    :param reach: ``localhost``: this machine alone; ``network``: as far as DDS reaches.
        ``ROS_AUTOMATIC_DISCOVERY_RANGE`` goes before it, and ``LOCALHOST`` is put into effect
        by the profile in its place.
    """
    chosen = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE')
    if chosen:
        reach = 'localhost' if chosen == 'LOCALHOST' else 'network'
    if 'fastrtps' not in environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        if reach == 'localhost':
            environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        return
    if any(environment.get(name) for name in _FAST_DDS_VARIABLES):
        return
    if chosen == 'LOCALHOST':
        # The profile keeps to this machine, and better: with the variable, rmw_fastrtps opens
        # sockets on 0.0.0.0 and on the network's address beside those of the profile.
        del environment['ROS_AUTOMATIC_DISCOVERY_RANGE']
    profile = f'fastdds_{reach}.xml'
    environment[_profile_variable()] = str(share_folder() / 'config' / profile)


def _profile_variable() -> str:
    # The one that this Fast DDS knows: version 3 reads both, and complains of a repetition.
    try:
        is_version_2 = int(version('rclpy').split('.')[0]) < 8
    except PackageNotFoundError:
        is_version_2 = False
    return _FAST_DDS_VARIABLES[1 if is_version_2 else 0]
