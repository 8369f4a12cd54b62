"""
Make ``models/roma-tiny``: a ROMA of five million parameters with seeded, untrained weights.

    python models/make_roma_tiny.py [FOLDER]

Everything in it follows from this file: the tokenizer is trained on the sentences below, and the
weights are drawn by numpy's PCG64 from uniform distributions, so that every machine makes the same
bytes. Why each size is what it is stands in ``roma-tiny/README.md``.
"""

from collections.abc import Iterator
import itertools
import math
from pathlib import Path
import sys

import numpy as np
from tokenizers import AddedToken, decoders, normalizers, pre_tokenizers, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
import torch

from roma_ros.model.checkpoint import save_roma
from roma_ros.model.config import (
    make_thinker_config,
    ProcessorConfig,
    RomaConfig,
    SpeakHeadConfig,
    TOKEN_NAMES,
    TokenIds,
)
from roma_ros.model.positions import text_positions, unit_positions
from roma_ros.model.processor import UnitProcessor
from roma_ros.model.prompts import instruction_text, Protocol, SYSTEM_PROMPT
from roma_ros.model.thinker import RomaModel
from roma_ros.policy.instructions import InstructionKind
from roma_ros.units.unit import MultimodalUnit, UNIT_NS

SEED = 20_601_010
VOCAB_SIZE = 2048
#: Attention scores of the untrained network have about this standard deviation: flat attention
#: would average the stream away, and the speak probability would hardly move.
ATTENTION_GAIN = 4.0
#: Standard deviation of a token's embedding: small, so that the anchor's states tell of what it
#: attended to more than of itself.
EMBEDDING_STD = 0.3
#: Standard deviation of the speak logit over a varied synthetic stream, after scaling.
SPEAK_LOGIT_STD = 1.0

# How Qwen2 splits text before byte-level merges: contractions, words with their leading space,
# single digits, runs of punctuation, line ends, spaces.
_SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r'| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)

#: What may stand in each slot of a template.
_WORDS = {
    'color': 'red|green|blue|yellow|black|white|orange|purple|brown|grey|pink',
    'thing': (
        'cup|ball|box|cube|book|bottle|phone|key|bag|chair|table|door|window|lamp|light|screen|'
        'plate|bowl|spoon|knife|box|pen|paper|tool|robot|car|bus|bike|truck|cat|dog|bird|plant|'
        'circle|square|triangle|cylinder|star|ring|block'
    ),
    'person': 'person|man|woman|child|girl|boy|worker|visitor|operator|somebody|nobody',
    'place': (
        'table|floor|door|window|corner|room|kitchen|hall|street|road|path|left|right|middle|'
        'shelf|desk|bed|sofa|stairs|ground'
    ),
    'verb': (
        'picks up|puts down|moves|opens|closes|drops|pushes|pulls|carries|throws|turns|holds|'
        'points at|looks at|walks to|leaves|touches|lifts|cleans|breaks'
    ),
    'doing': (
        'walking|running|standing|sitting|talking|waving|falling|cooking|eating|drinking|'
        'working|reading|writing|waiting|sleeping|speaking|crying|laughing|coming|going'
    ),
    'sound': (
        'beep|bell|knock|alarm|voice|clap|step|whistle|siren|horn|bark|music|noise|click|crash|'
        'tone|hum|buzz'
    ),
    'number': 'zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve',
    'side': 'left of|right of|above|below|behind|in front of|next to|on|under|near',
}
_TEMPLATES = (
    'The {color} {thing} is {side} the {color} {thing}.',
    'A {person} {verb} the {thing}.',
    'The {person} is {doing} {side} the {place}.',
    'A {color} {thing} appears {side} the {place}, and the {thing} disappears.',
    'The {thing} falls on the {place}.',
    'I hear a {sound}.',
    'There was a {sound}, then a {sound}.',
    'Tell me when a {person} {verb} the {thing}.',
    'Remind me when you hear a {sound}.',
    'Watch the {place} and say when the {color} {thing} moves.',
    'How many {thing}s are {side} the {place}? There are {number}.',
    'What color is the {thing}? It is {color}.',
    'Where is the {thing}? It is {side} the {thing}, {side} the {place}.',
    'Who is {doing}? The {person} is.',
    'What is the {person} doing? The {person} is {doing}.',
    'Yes, I see a {color} {thing}. No, I do not see the {thing}.',
    'Attention: a {person} is {doing} near the {place}!',
    'Warning, the {thing} is on the {place}.',
    'Nothing has changed. The {place} is empty.',
    'At second {number} the {thing} was {side} the {place}.',
    'Please be careful with the {color} {thing}.',
    'After that, the {person} {verb} it again and walks away from the {place}.',
)
_COMMON = (
    'the be to of and a in that have it for not on with he as you do at this but his by from they '
    'we say her she or an will my one all would there their what so up out if about who get which '
    'go me when make can like time just him know take people into year your good some could them '
    'see other than then now look only come its over think also back after use two how our work '
    'first well way even new want because any these give day most us is are was were has had been '
    'did does here where why again near far before during until while always never still already '
    'maybe something anything everything nothing someone hello thanks please sorry yes okay stop '
    'start wait listen watch hear sound picture image video camera audio second minute hour today '
    'down away around between through inside outside top bottom front side same different small '
    'big large long short high low fast slow hot cold open closed empty full off ready done safe '
    'danger careful help need find show tell ask answer question call name three four five six '
    'seven eight nine ten hundred thousand half quarter once twice each every both few many much '
    'more less least enough another next last left right middle center edge end begin beginning '
    'finish finished part piece place point line area space zone room house home office factory '
    'kitchen garden street city country world water fire smoke steam air wind rain snow sun moon '
    'sky cloud tree flower grass leaf wood stone metal glass plastic paper cloth oil gas food '
    'bread fruit apple orange banana lemon tomato potato carrot onion egg milk coffee tea juice '
    'soup salad meat fish chicken rice sugar salt pepper butter cheese cake pan pot oven stove '
    'fridge sink tap dish tray fork knife spoon cup plate bowl bottle glass jar can lid basket '
    'bucket bag box case drawer shelf cabinet closet wall floor ceiling roof stairs step elevator '
    'door gate fence window curtain carpet bed pillow blanket sofa couch chair bench desk table '
    'lamp light switch button handle key lock plug wire cable battery power screen monitor '
    'keyboard mouse computer laptop tablet phone television radio speaker microphone printer '
    'clock watch mirror picture book page pencil marker eraser scissors tape glue string rope '
    'chain nail screw hammer drill saw wrench tool machine engine motor wheel tire brake belt '
    'pump pipe valve tank sensor robot arm hand gripper finger leg foot head face eye ear nose '
    'mouth hair neck shoulder back chest knee body skin shirt jacket coat pants dress skirt shoe '
    'boot hat cap helmet glove vest glasses uniform mask man woman child boy girl baby adult '
    'person people crowd group team family friend guest visitor customer worker driver operator '
    'nurse doctor patient teacher student player guard police officer cook waiter cleaner dog cat '
    'bird horse cow sheep mouse insect car truck van bus train tram bike bicycle motorcycle '
    'scooter ship boat plane drone forklift cart wagon trailer road lane crossing corner sidewalk '
    'bridge tunnel station stop sign signal traffic parking garage walk walks walked run runs ran '
    'stand stands stood sit sits sat lie lies lay fall falls fell jump jumps climb climbs turn '
    'turns turned move moves moved moving stay stays enter enters leave leaves arrive arrives '
    'approach approaches pass passes follow follows cross crosses push pushes pull pulls lift '
    'lifts carry carries hold holds drop drops throw throws catch catches pick picks put puts '
    'place places take takes bring brings give gives get gets open opens close closes press '
    'presses touch touches hit hits kick kicks break breaks fix fixes cut cuts chop chops slice '
    'slices peel peels pour pours fill fills mix mixes stir stirs cook cooks boil boils fry fries '
    'bake bakes wash washes clean cleans wipe wipes dry dries fold folds pack packs unpack stack '
    'stacks sort sorts count counts measure measures weigh weighs write writes read reads draw '
    'draws paint paints point points wave waves nod nods shake shakes smile smiles laugh laughs '
    'cry cries shout shouts speak speaks talk talks sing sings play plays dance dances sleep '
    'sleeps wake wakes eat eats drink drinks smoke smokes burn burns spill spills leak leaks ring '
    'rings beep beeps knock knocks bark barks appear appears disappear disappears change changes '
    'changed happen happens happened begin begins continue continues stops started red green blue '
    'yellow black white orange purple brown grey gray pink dark bright silver gold clear circle '
    'square triangle rectangle cylinder sphere cube cone star ring cross heart arrow round flat '
    'tall wide narrow thick thin heavy light soft hard wet dry clean dirty old young new broken '
    'whole free busy quiet loud silent early late visible hidden moving still alone together '
    'ahead behind above below under beside against along across toward towards within without '
    'except about almost nearly exactly quickly slowly suddenly carefully finally later soon now '
    'then normal wrong correct true false possible impossible important dangerous strange unknown '
    'similar equal warning attention alert alarm emergency problem error failure accident damage '
    'injury fall collision obstacle event action motion change state status time moment second '
    'minute hour morning noon afternoon evening night monday january summer winter number amount '
    'level speed distance temperature pressure color shape size weight position direction north '
    'south east west voice speech word sentence language english music song melody noise silence '
    'bell siren whistle horn clap footstep footsteps thunder engine crash bang click buzz hum '
    'tone pitch volume information message report description summary story reason result answer '
    'example idea plan task job goal instruction command request condition rule order list item '
    'group kind type sort way thing object matter case fact because although however therefore '
    'instead unless whether either neither nor yet rather quite very too also again '
)
#: What the tabletop speaks of, with and without a space before it.
_TABLETOP = (
    'box ball cone star ring red green blue yellow white black enters leaves rolls falls hits '
    'covered uncovered bell beep siren knock glass hum rings beeps starts knocks breaks hums '
    'what where how many color shape did hear see left last tell me say alert when while you in '
    'view a the is are do there of thing things something someone two three table zero one two '
    'three left middle right '
)
_SENTENCES_PER_TEMPLATE = 120


def sentences() -> Iterator[str]:
    """Yield the tokenizer's training text, the same on every machine."""
    for repeat in range(_SENTENCES_PER_TEMPLATE):
        for template_index, template in enumerate(_TEMPLATES):
            text = template
            for step in itertools.count():
                begin = text.find('{')
                if begin < 0:
                    break
                slot = text[begin + 1 : text.index('}')]
                words = _WORDS[slot].split('|')
                word = words[(repeat * (2 * step + 3) + template_index + 5 * step) % len(words)]
                text = text.replace(f'{{{slot}}}', word, 1)
            yield text
    for _ in range(20):
        yield from (f' {word}' for word in _COMMON.split())
        for word in _TABLETOP.split():
            yield from (word, f' {word}')
        yield SYSTEM_PROMPT
        for kind in InstructionKind:
            yield instruction_text(kind, 'the light')
        yield from ('system\n', 'user\n', 'assistant\n', 'alert', 'no', '0 1 2 3 4 5 6 7 8 9')


def make_tokenizer() -> Tokenizer:
    """Train a byte-level BPE in the manner of Qwen2, with its special tokens by name."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT_PATTERN), behavior='isolated'),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCAB_SIZE - len(TOKEN_NAMES),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in TOKEN_NAMES.values()])
    return tokenizer


def make_config(tokenizer: Tokenizer) -> RomaConfig:
    """Return the sizes of roma-tiny."""
    token_ids = TokenIds.lookup(tokenizer.token_to_id)
    thinker = make_thinker_config(
        token_ids,
        text_config={
            'vocab_size': VOCAB_SIZE,
            'hidden_size': 192,
            'intermediate_size': 512,
            'num_hidden_layers': 6,
            'num_attention_heads': 4,
            'num_key_value_heads': 2,
            'max_position_embeddings': 32_768,
            'rope_parameters': {
                'rope_type': 'default',
                'rope_theta': 1_000_000.0,
                'mrope_section': [6, 9, 9],
            },
            'tie_word_embeddings': True,
        },
        vision_config={
            'depth': 3,
            'hidden_size': 128,
            'intermediate_size': 384,
            'num_heads': 4,
            'out_hidden_size': 192,
            'fullatt_block_indexes': [1, 2],
        },
        audio_config={
            'num_mel_bins': 128,
            'encoder_layers': 3,
            'encoder_attention_heads': 4,
            'encoder_ffn_dim': 640,
            'd_model': 160,
            'output_dim': 192,
        },
        tie_word_embeddings=True,
        user_token_id=tokenizer.token_to_id('user'),
    )
    return RomaConfig(
        thinker=thinker,
        speak_head=SpeakHeadConfig(hidden_size=192),
        processor=ProcessorConfig(video_max_pixels=16_384),
        token_ids=token_ids,
    )


def fill_weights(model: RomaModel, *, seed: int) -> None:
    """Draw every weight, in the order of the names, from uniform distributions."""
    generator = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if name.endswith('layer_logits') or name.endswith('bias'):
                weight.zero_()
            elif weight.ndim == 1:
                weight.fill_(1.0)  # norms
            else:
                std = 1.0 / math.sqrt(weight[0].numel())
                if 'embed_tokens' in name:
                    std = EMBEDDING_STD
                elif 'language_model' in name and name.endswith(
                    ('q_proj.weight', 'k_proj.weight')
                ):
                    std *= math.sqrt(ATTENTION_GAIN)
                limit = std * math.sqrt(3.0)
                drawn = generator.random(tuple(weight.shape)) * (2 * limit) - limit
                weight.copy_(torch.from_numpy(drawn.astype(np.float32)))


def synthetic_units(count: int, *, seed: int = 0) -> Iterator[MultimodalUnit]:
    """Yield a varied stream: moving patches of colour, tones, noise and silence."""
    generator = np.random.Generator(np.random.PCG64(seed))
    times = np.arange(16_000) / 16_000
    for index in range(count):
        frames = np.empty((2, 240, 320, 3), dtype=np.uint8)
        frames[:] = generator.integers(0, 256, 3)
        for _ in range(generator.integers(0, 4)):
            row, column = generator.integers(0, 180), generator.integers(0, 240)
            colour = generator.integers(0, 256, 3)
            for frame_index in range(2):
                shifted = column + 20 * frame_index
                frames[frame_index, row : row + 60, shifted : shifted + 60] = colour
        tone = np.sin(2 * np.pi * generator.uniform(100, 4000) * times)
        loudness = generator.choice([0.0, 0.01, 0.3])
        audio = loudness * tone + 0.001 * generator.standard_normal(16_000)
        start = index * UNIT_NS
        yield MultimodalUnit(
            index=index,
            start_ns=start,
            end_ns=start + UNIT_NS,
            frames=frames,
            frame_stamps_ns=(start, start + UNIT_NS // 2),
            audio=audio.astype(np.float32),
        )


@torch.inference_mode()
def speak_logits(model: RomaModel, protocol: Protocol, *, num_units: int = 60) -> np.ndarray:
    """Return the speak logit of every unit of a synthetic stream that is wholly in the context."""
    processor = UnitProcessor(model.config.processor)
    ids = protocol.stream_begin
    embeddings = [model.embed_tokens(torch.tensor(ids))]
    first, position = text_positions(len(ids), 0)
    positions = [first]
    anchors = []
    for unit in synthetic_units(num_units):
        features = processor(unit)
        embeddings.append(model.encode(features))
        assert features.mel is not None
        unit_ids, position = unit_positions(features.grid_thw, 25, position)
        positions.append(unit_ids)
        anchors.append(sum(len(part) for part in embeddings) - 1)
    stream = torch.cat(embeddings)[None]
    hidden = model.decoder(
        inputs_embeds=stream,
        position_ids=torch.from_numpy(np.concatenate(positions, axis=1))[:, None],
        output_hidden_states=True,
    ).hidden_states
    mixed = torch.stack(hidden[-model.config.speak_head.num_layers_mixed :])[:, 0, anchors]
    return model.speak_logits(mixed).numpy()


def spread_speak_head(model: RomaModel, protocol: Protocol) -> None:
    """
    Scale and shift the speak head's last layer so that its probability is spread around one half.

    An untrained head says much the same of every unit, and then a threshold, a trigger and a plot
    have nothing to work on. The two numbers are rounded, so that they are the same everywhere.
    """
    logits = speak_logits(model, protocol)
    scale = float(f'{SPEAK_LOGIT_STD / logits.std():.1e}')
    with torch.no_grad():
        model.speak_head.fc2.weight.mul_(scale)
        model.speak_head.fc2.bias.fill_(round(-scale * float(logits.mean()), 1))


def main(folder: str | Path) -> None:
    """Write the checkpoint into a folder, weights in bfloat16."""
    tokenizer = make_tokenizer()
    model = RomaModel(make_config(tokenizer)).eval()
    fill_weights(model, seed=SEED)
    spread_speak_head(model, Protocol(tokenizer))
    save_roma(model.to(torch.bfloat16), folder, tokenizer=tokenizer)


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / 'roma-tiny')
