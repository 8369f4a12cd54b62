"""
A recording through the node roma, everything recorded; it ends with the recording.

ros2 launch roma_ros demo.launch.py source:=street.mp4
ros2 launch roma_ros demo.launch.py --show-args
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from roma_ros.nodes.dds import set_dds_defaults

BOOLEAN = ['true', 'false']
#: What the node may still have to say when the recording has ended [s].
LAST_WORDS_S = 5.0


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start playback, roma and recorder."""
    share = FindPackageShare('roma_ros')
    arguments = [
        DeclareLaunchArgument('source', description='Media file or bag to play.'),
        DeclareLaunchArgument(
            'rate', default_value='1.0', description='Speed; other than 1.0 wants use_sim_time.'
        ),
        DeclareLaunchArgument(
            'record',
            default_value='true',
            choices=BOOLEAN,
            description='Record the stream and what comes of it.',
        ),
        DeclareLaunchArgument(
            'record_path',
            default_value='stream.mcap',
            description='File to record to; it must not exist.',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of all nodes and topics.'
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution([share, 'config', 'roma.yaml']),
            description='Parameter file of the node roma.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=BOOLEAN,
            description='Let playback publish /clock, and the others take the time from it.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='What the nodes log.',
        ),
        DeclareLaunchArgument(
            'dds',
            default_value='localhost',
            choices=['network', 'localhost', 'unchanged'],
            description='As in roma.launch.py.',
        ),
    ]
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    common = {
        'package': 'roma_ros',
        'namespace': LaunchConfiguration('namespace'),
        'ros_arguments': ['--log-level', LaunchConfiguration('log_level')],
        'output': 'screen',
        'sigterm_timeout': '20',
    }
    roma = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, 'launch', 'roma.launch.py'])),
        launch_arguments={
            name: LaunchConfiguration(name)
            for name in ('namespace', 'params_file', 'use_sim_time', 'log_level', 'dds')
        }.items(),
    )
    recorder = Node(
        executable='recorder_node',
        name='recorder',
        parameters=[
            PathJoinSubstitution([share, 'config', 'recorder.yaml']),
            {
                'path': ParameterValue(LaunchConfiguration('record_path'), value_type=str),
                'use_sim_time': use_sim_time,
            },
        ],
        condition=IfCondition(LaunchConfiguration('record')),
        **common,
    )
    return LaunchDescription(
        [
            *arguments,
            RegisterEventHandler(OnProcessExit(on_exit=_end)),
            GroupAction([OpaqueFunction(function=_set_environment), roma, recorder]),
            GroupAction(
                [
                    OpaqueFunction(function=_set_environment),
                    OpaqueFunction(function=_start_playback, args=[share, common]),
                ]
            ),
        ]
    )


def _start_playback(
    context: LaunchContext, share: FindPackageShare, common: dict[str, object]
) -> list[Node]:
    records = IfCondition(LaunchConfiguration('record')).evaluate(context)
    return [
        Node(
            executable='playback_node',
            name='playback',
            parameters=[
                PathJoinSubstitution([share, 'config', 'playback.yaml']),
                {
                    'source': ParameterValue(LaunchConfiguration('source'), value_type=str),
                    'rate': ParameterValue(LaunchConfiguration('rate'), value_type=float),
                    'publish_clock': ParameterValue(
                        LaunchConfiguration('use_sim_time'), value_type=bool
                    ),
                    # Nothing is played before the model is loaded.
                    'wait_for_subscribers': 2 if records else 1,
                    'subscribers_timeout_s': 300.0,
                },
            ],
            **common,
        )
    ]


def _end(event: ProcessExited, context: LaunchContext) -> list[TimerAction]:
    """End everything when one process has ended; the recording's end leaves time to speak."""
    is_playback = event.process_name.startswith('playback')
    shutdown = Shutdown(reason=f'{event.process_name} has ended')
    return [TimerAction(period=LAST_WORDS_S if is_playback else 0.0, actions=[shutdown])]


def _set_environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    reach = LaunchConfiguration('dds').perform(context)
    environment = dict(context.environment)
    if reach != 'unchanged':
        set_dds_defaults(environment, reach=reach)
    return [
        SetEnvironmentVariable(name, value)
        for name, value in environment.items()
        if context.environment.get(name) != value
    ]
