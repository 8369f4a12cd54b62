"""The benchmarks by their names on the command line."""

from .benchmark import Benchmark
from .charades import CharadesSta
from .omnimmi import OmniMmiAlerting
from .ovo_bench import OvoClue, OvoQuestions, OvoRepetition, OvoSteps
from .qvhighlights import QvHighlights
from .spoken_questions import EgoSchema, VideoMme
from .streamingbench import StreamingBenchProactive, StreamingBenchQuestions
from .youcook2 import YouCook2

_ALL: tuple[Benchmark, ...] = (
    QvHighlights(),
    CharadesSta(),
    OmniMmiAlerting(),
    StreamingBenchProactive(),
    StreamingBenchQuestions(),
    OvoRepetition(),
    OvoClue(),
    OvoSteps(),
    OvoQuestions(),
    YouCook2(),
    VideoMme(),
    EgoSchema(),
)
#: The twelve sets of the paper, in the order of its tables.
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
