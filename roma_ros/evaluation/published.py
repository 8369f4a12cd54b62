"""
What others published, as they published it: the context of our own figures.

Source of all: ROMA, arXiv 2601.10323v1, Tables 2 to 9, with the peers' figures that stand in them.
A figure is repeated here as it stands there, in percent but where noted; whether it can be put
beside ours is another matter, and says so.
"""

from dataclasses import dataclass

#: The source, as a reader finds it.
SOURCE = 'ROMA, arXiv 2601.10323v1, Tables 2 to 9'


@dataclass(frozen=True)
class PublishedFigure:
    """
    One published number.

    :param benchmark: its name in ``roma eval --list``.
    :param figure: what it is of, in the words of the table.
    :param system: who.
    :param value: as published.
    :param why_apart: why it cannot be put beside ours; empty: the definition is the same, see the
        benchmark's own notes.
    """

    benchmark: str
    figure: str
    system: str
    value: float
    why_apart: str = ''


_QVH_OWN = (
    "ROMA's own per-second metric, far easier than the official one: random scores get 34 mAP by "
    'it and 15 officially; its annotation is not public'
)
_QVH_OFFLINE = 'official evaluator, but the model saw the whole video before it answered'
_CHARADES_OFFLINE = (
    'one span from a model that saw the whole video; ours is the overlap of sets of seconds in a '
    'stream'
)
_DENSE = 'dense-caption localization F1, carried over from other papers: another metric'
_TEXT = 'needs a network to judge (RoBERTa-large, GPT-4o); not computed here'
_GPT = 'judged by GPT-4o there, by letter and words of the option here'
_TASKS = 'the queries there are typed or spoken, which is not stated'


def _rows(
    benchmark: str, figure: str, values: dict[str, float], why_apart: str = ''
) -> tuple[PublishedFigure, ...]:
    return tuple(
        PublishedFigure(benchmark, figure, system, value, why_apart)
        for system, value in values.items()
    )


#: Every figure, by benchmark.
PUBLISHED: tuple[PublishedFigure, ...] = (
    *_rows('qvhighlights', 'mAP', {'ROMA': 53.7}, _QVH_OWN),
    *_rows('qvhighlights', 'HIT@1', {'ROMA': 53.0}, _QVH_OWN),
    *_rows('qvhighlights', 'mAP', {'MMDuet': 31.3}),
    *_rows('qvhighlights', 'HIT@1', {'MMDuet': 49.6}),
    *_rows('qvhighlights', 'mAP', {'TimeChat': 14.5, 'VTG-LLM': 16.5}, _QVH_OFFLINE),
    *_rows('qvhighlights', 'HIT@1', {'TimeChat': 23.9, 'VTG-LLM': 33.5}, _QVH_OFFLINE),
    *_rows('charades-sta', 'R@0.5', {'ROMA': 44.3, 'MMDuet': 42.4}),
    *_rows('charades-sta', 'R@0.7', {'ROMA': 19.9, 'MMDuet': 18.0}),
    *_rows(
        'charades-sta',
        'R@0.5',
        {'TimeChat': 32.2, 'VTimeLLM': 31.2, 'HawkEye': 31.4, 'VTG-LLM': 33.8},
        _CHARADES_OFFLINE,
    ),
    *_rows(
        'charades-sta',
        'R@0.7',
        {'TimeChat': 13.4, 'VTimeLLM': 11.4, 'HawkEye': 14.5, 'VTG-LLM': 15.7},
        _CHARADES_OFFLINE,
    ),
    *_rows(
        'omnimmi-pa',
        'accuracy',
        {'ROMA': 37.5, 'MMDuet': 22.0, 'VideoLLM-online': 0.5, 'M4-a': 25.5},
    ),
    *_rows(
        'streamingbench-po',
        'accuracy',
        {'ROMA': 53.6, 'MMDuet': 29.44, 'VideoLLM-online': 4.13, 'Dispider': 25.34},
    ),
    *_rows(
        'ovo-crr',
        'accuracy',
        {'ROMA': 35.42, 'MMDuet': 16.67, 'VideoLLM-online': 27.08, 'Dispider': 48.75},
    ),
    *_rows(
        'ovo-rec',
        'micro success',
        {'ROMA': 33.81, 'MMDuet': 12.77, 'VideoLLM-online': 14.29, 'Dispider': 18.05},
    ),
    *_rows('youcook2', 'F1', {'ROMA': 35.21, 'MMDuet': 17.81, 'VideoLLM-online': 18.82}),
    *_rows('youcook2', 'F1', {'TimeChat': 21.7, 'VTG-LLM': 17.5}, _DENSE),
    *_rows(
        'youcook2',
        'BERTScore (0 to 1)',
        {'ROMA': 0.83, 'MMDuet': 0.83, 'VideoLLM-online': 0.82},
        _TEXT,
    ),
    *_rows(
        'youcook2',
        'GPT score (0 to 1)',
        {'ROMA': 0.39, 'MMDuet': 0.23, 'VideoLLM-online': 0.17},
        _TEXT,
    ),
    *_rows('ovo-ssr', 'F1', {'ROMA': 14.54, 'MMDuet': 9.02, 'VideoLLM-online': 10.24}),
    *_rows(
        'ovo-ssr',
        'BERTScore (0 to 1)',
        {'ROMA': 0.83, 'MMDuet': 0.79, 'VideoLLM-online': 0.84},
        _TEXT,
    ),
    *_rows(
        'ovo-ssr',
        'GPT score (0 to 1)',
        {'ROMA': 0.42, 'MMDuet': 0.31, 'VideoLLM-online': 0.18},
        _TEXT,
    ),
    *(
        PublishedFigure('ovo-qa', task, 'ROMA', value)
        for task, value in {
            'OCR': 63.09,
            'ACR': 53.21,
            'ATR': 68.10,
            'STU': 39.33,
            'FPD': 69.31,
            'OJR': 58.15,
            'EPM': 55.89,
            'ASI': 47.30,
            'HLD': 23.66,
        }.items()
    ),
    *(
        PublishedFigure('streamingbench', task, 'ROMA', value, _TASKS)
        for task, value in {
            'real: OP': 76.96,
            'real: CR': 78.91,
            'real: CS': 77.92,
            'real: ATP': 82.05,
            'real: EU': 74.84,
            'real: TR': 72.90,
            'real: PR': 82.41,
            'real: SU': 61.79,
            'real: ACP': 65.91,
            'real: CT': 51.06,
            'omni: ER': 40.40,
            'omni: SCU': 34.80,
            'omni: SD': 50.40,
            'omni: MA': 58.80,
            'context: ACU': 37.60,
            'context: MCU': 34.00,
            'context: SQA': 44.47,
        }.items()
    ),
    *_rows(
        'video-mme',
        'accuracy',
        {'ROMA': 33.3, 'Qwen2.5-Omni': 20.5, 'VITA-1.5': 28.56, 'MiniCPM-o 2.6': 19.37},
        _GPT,
    ),
    *_rows(
        'egoschema',
        'accuracy',
        {'ROMA': 55.4, 'Qwen2.5-Omni': 58.4, 'VITA-1.5': 45.4, 'MiniCPM-o 2.6': 55.2},
        _GPT,
    ),
)


#: ROMA's ablations: how much its own choices matter. Columns as in its tables.
ABLATION_COLUMNS = (
    'QVHighlights mAP',
    'QVHighlights HIT@1',
    'Charades R@0.5',
    'Charades R@0.7',
    'PA',
    'PO',
    'CRR',
    'REC',
    'YouCook2 F1',
    'SSR F1',
    'Video-MME',
    'EgoSchema',
)
ABLATIONS: dict[str, tuple[float | None, ...]] = {
    'ROMA (K = 4, w = 3)': (
        *(53.7, 53.0, 44.3, 19.9, 37.5, 53.60),
        *(35.42, 33.81, 35.21, 14.54, 33.30, 55.40),
    ),
    'one training stage': (
        *(50.3, 44.7, 28.2, 10.1, 34.5, 50.80),
        *(25.00, 13.13, 31.42, 8.88, 33.00, 50.20),
    ),
    'a silence token, no speak head': (
        *(None, None, None, None, 12.5, 12.00),
        *(0.00, 6.46, 9.25, 3.39, 9.11, 12.80),
    ),
    'K = 1': (
        *(46.4, 47.4, 32.4, 13.1, 26.0, 56.40),
        *(31.25, 24.32, 34.43, 9.64, 34.56, 54.00),
    ),
    'positives weighted 2': (
        *(47.5, 52.5, 42.2, 18.4, 31.0, 52.76),
        *(39.58, 31.54, 27.82, 10.38, 33.20, 52.60),
    ),
    'positives weighted 4': (
        *(47.3, 49.1, 38.0, 16.4, 31.0, 52.15),
        *(37.50, 26.74, 35.55, 13.48, 33.10, 54.80),
    ),
}
