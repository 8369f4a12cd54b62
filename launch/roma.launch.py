"""
The node roma, with a camera, a microphone and a loudspeaker if wished: to include in a stack.

ros2 launch roma_ros roma.launch.py image_topic:=/head_camera/image_raw audio_topic:=/audio
ros2 launch roma_ros roma.launch.py --show-args
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from roma_ros.nodes.dds import set_dds_defaults

BOOLEAN = ['true', 'false']
#: A unit and the release of a GPU may take longer than the 5 s after which launch would kill.
SIGTERM_TIMEOUT_S = '20'


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    arguments = [
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node and its topics.'
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution(
                [FindPackageShare('roma_ros'), 'config', 'roma.yaml']
            ),
            description='Parameter file of the node; may hold substitutions as $(env HOME).',
        ),
        DeclareLaunchArgument(
            'model', default_value='', description="Folder of the model; empty: params_file's."
        ),
        DeclareLaunchArgument(
            'engine', default_value='', description="What runs the network; empty: params_file's."
        ),
        DeclareLaunchArgument(
            'image_topic', default_value='image', description='Topic of the camera.'
        ),
        DeclareLaunchArgument(
            'audio_topic', default_value='audio', description='Topic of the microphone.'
        ),
        DeclareLaunchArgument(
            'camera',
            default_value='false',
            choices=BOOLEAN,
            description='Start the node camera, for machines without a driver.',
        ),
        DeclareLaunchArgument(
            'microphone',
            default_value='false',
            choices=BOOLEAN,
            description='Start the node microphone.',
        ),
        DeclareLaunchArgument(
            'speaker',
            default_value='false',
            choices=BOOLEAN,
            description='Start the node speaker, which speaks what roma has to say.',
        ),
        DeclareLaunchArgument(
            'autostart',
            default_value='true',
            choices=BOOLEAN,
            description='Configure and activate the node; false: leave it to a lifecycle manager.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=BOOLEAN,
            description='Take the time from /clock.',
        ),
        DeclareLaunchArgument(
            'use_respawn',
            default_value='false',
            choices=BOOLEAN,
            description='Start the node again when it crashes.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='What the node logs.',
        ),
        DeclareLaunchArgument(
            'dds',
            default_value='localhost',
            choices=['network', 'localhost', 'unchanged'],
            description='Shared memory for raw images, where no Fast DDS profile is set: '
            'localhost keeps to this machine, network reaches others; unchanged: the defaults of '
            'Fast DDS, with which most raw images are lost.',
        ),
    ]
    # A group keeps the environment to itself: what includes this file is not changed.
    return LaunchDescription(
        [
            *arguments,
            GroupAction(
                [
                    OpaqueFunction(function=_set_environment),
                    OpaqueFunction(function=_start_roma),
                    *_devices(),
                ]
            ),
        ]
    )


def _common() -> dict[str, object]:
    return {
        'package': 'roma_ros',
        'namespace': LaunchConfiguration('namespace'),
        'ros_arguments': ['--log-level', LaunchConfiguration('log_level')],
        'output': 'screen',
        'respawn': LaunchConfiguration('use_respawn'),
        'respawn_delay': 2.0,
        'sigterm_timeout': SIGTERM_TIMEOUT_S,
    }


def _start_roma(context: LaunchContext) -> list[Node]:
    image_topic, audio_topic = (
        LaunchConfiguration('image_topic'),
        LaunchConfiguration('audio_topic'),
    )
    # What is empty is left to the parameter file.
    choices = {
        'model': LaunchConfiguration('model').perform(context),
        'engine': LaunchConfiguration('engine').perform(context),
    }
    given = {name: ParameterValue(v, value_type=str) for name, v in choices.items() if v}
    return [
        Node(
            executable='roma_node',
            name='roma',
            parameters=[
                ParameterFile(LaunchConfiguration('params_file'), allow_substs=True),
                {
                    'autostart': ParameterValue(LaunchConfiguration('autostart'), value_type=bool),
                    'use_sim_time': ParameterValue(
                        LaunchConfiguration('use_sim_time'), value_type=bool
                    ),
                    **given,
                },
            ],
            remappings=[
                ('image', image_topic),
                ('image/compressed', [image_topic, '/compressed']),
                ('audio', audio_topic),
            ],
            **_common(),
        )
    ]


def _devices() -> list[Node]:
    config = [FindPackageShare('roma_ros'), 'config']
    return [
        Node(
            executable='camera_node',
            name='camera',
            parameters=[PathJoinSubstitution([*config, 'camera.yaml'])],
            remappings=[('image', LaunchConfiguration('image_topic'))],
            condition=IfCondition(LaunchConfiguration('camera')),
            **_common(),
        ),
        Node(
            executable='microphone_node',
            name='microphone',
            parameters=[PathJoinSubstitution([*config, 'microphone.yaml'])],
            remappings=[('audio', LaunchConfiguration('audio_topic'))],
            condition=IfCondition(LaunchConfiguration('microphone')),
            **_common(),
        ),
        Node(
            executable='speaker_node',
            name='speaker',
            parameters=[PathJoinSubstitution([*config, 'speaker.yaml'])],
            remappings=[('utterance', 'roma/utterance')],
            condition=IfCondition(LaunchConfiguration('speaker')),
            **_common(),
        ),
    ]


def _set_environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    changed = {'RCUTILS_LOGGING_BUFFERED_STREAM': '1'}
    reach = LaunchConfiguration('dds').perform(context)
    if reach != 'unchanged':
        environment = dict(context.environment)
        set_dds_defaults(environment, reach=reach)
        changed |= {k: v for k, v in environment.items() if context.environment.get(k) != v}
    return [SetEnvironmentVariable(name, value) for name, value in changed.items()]
