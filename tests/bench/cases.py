# The cases of tests/bench/run: the words that both sides understand, the least work that a step can
# be, and what fornax is held to.
from dataclasses import dataclass, field
from typing import NamedTuple

ELEMENT_BYTES = 4
TORCH, COMPILE, GRAPH = 'torch', 'torch.compile', 'torch.graph'
ONEDNN, CUBLASLT, CUDNN = 'onednn', 'cublaslt', 'cudnn'
MOST_MEMORY = 0.6         # of PyTorch's peak, for a training step
LEAST_COPY_SHARE = 0.85   # of the floor by bytes, for ops that move bytes
MOST_START_SECONDS = 0.1  # from the start of the process to the numbers of its first step


class Work(NamedTuple):
    """FLOPs, operations, and bytes read and written, that no implementation of a step can do
    without."""
    flops: float = 0.0
    read: float = 0.0
    written: float = 0.0
    in_place: bool = False  # what is both read and written is the same memory
    operations: float = 0.0  # of vectors' lanes, where more than half the FLOPs
    quotients: float = 0.0   # among them

    @property
    def bytes(self):
        return self.read + self.written


@dataclass
class Case:
    name: str
    group: str     # steps, ops, layers, growth, graphs, placement, start: a table each
    kind: str      # what the server loads (server.h); start: whole processes
    words: dict
    peers: tuple = (TORCH,)
    targets: dict = field(default_factory=dict)  # peer -> least ratio peer / ours
    most_memory: float = 0.0     # of the memory of torch
    least_share: float = 0.0     # of the floor
    most_seconds: float = 0.0
    axis: tuple = ()             # growth: what grows, and how far
    seconds: float = 8.0         # to spend on repeats, of ours and peers together
    quick: bool = True           # part of --quick
    fresh: bool = True           # processes of its own, whose memory is compared

    def server_kind(self):
        return 'network' if self.kind == 'start' else self.kind

    def work(self, plan):
        """The least Work of one step; none of a case that has no floor."""
        if self.group == 'growth':
            return Work()
        if self.kind == 'network':
            return network_work(self.words)
        if self.kind == 'layer':
            return layer_work(self.words)
        if self.kind == 'op':
            # The sum of its ops' own costs.
            return Work(plan['flops'], float(plan['read_bytes']), float(plan['write_bytes']),
                        self.words['name'] in IN_PLACE, plan.get('operations', 0.0),
                        plan.get('quotients', 0.0))
        return Work()


def network_work(words):
    """Three products a layer, two in the first, which needs no gradient of its input. Parameters
    are read and written, and both moments of AdamW; inputs are read; what a hidden layer hands to
    the backward pass is written and read."""
    widths = [int(width) for width in words['widths'].split(',')]
    batch = int(words['batch'])
    weights = [a * b for a, b in zip(widths, widths[1:])]
    flops = 6.0 * batch * sum(weights) - 2.0 * batch * weights[0]
    parameters = sum(weights) + sum(widths[1:])
    moments = 2 if words.get('optimizer', 'adamw') == 'adamw' else 0
    both = parameters * (1 + moments) + batch * sum(widths[1:-1])
    return Work(flops, float(ELEMENT_BYTES * (both + batch * widths[0])),
                float(ELEMENT_BYTES * both), in_place=True)


def layer_work(words):
    """One product; its operands are read and its result is written, and dgrad reads the saved
    value too."""
    rows, inputs, outputs = (int(words[key]) for key in ('rows', 'inputs', 'outputs'))
    x, w, y = rows * inputs, outputs * inputs, rows * outputs
    read, written = {'forward': (x + w, y), 'dgrad': (y + w + x, x),
                     'wgrad': (y + x, w)}[words['part']]
    return Work(2.0 * rows * inputs * outputs, float(ELEMENT_BYTES * read),
                float(ELEMENT_BYTES * written))


def network(widths, batch, **words):
    return {'widths': ','.join(map(str, widths)), 'batch': str(batch), **words}


MLP = network([784, 512, 512, 10], 64, activation='relu', loss='cross_entropy', optimizer='adamw')
FORMS = (TORCH, COMPILE, GRAPH)


def step(name, words, targets, **more):
    return Case(name, 'steps', 'network', words, FORMS, targets, most_memory=MOST_MEMORY, **more)


def steps():
    yield step('three_layer 3-5-3',
               network([3, 5, 3], 1, activation='sigmoid', last_activation='1',
                       loss='half_squares', optimizer='sgd', rate='0.1'), {TORCH: 30.0})
    yield step('mlp 784-512-512-10', MLP, {TORCH: 1.5, COMPILE: 1.2}, least_share=0.6)
    yield step('mlp gelu, sgd', {**MLP, 'activation': 'gelu', 'optimizer': 'sgd'},
               {TORCH: 1.5, COMPILE: 1.2}, least_share=0.6)
    yield step('wide mlp 4096', network([4096] * 4, 256, activation='relu',
                                        loss='mean_squared_error', optimizer='sgd'),
               {TORCH: 1.1}, least_share=0.8, quick=False, seconds=14.0)
    for width in (32, 64, 128):
        yield step(f'narrow mlp {width}',
                   network([width] * 4 + [10], 65536, activation='relu', loss='cross_entropy',
                           optimizer='adamw'), {TORCH: 2.0}, quick=width == 32)


QUICK_OPS = ('add', 'gelu', 'softmax', 'dropout', 'adamw', 'cast_f32_bf16', 'batch_norm', 'sum')
# They write the state that they read.
IN_PLACE = ('sgd', 'sgd_momentum', 'adamw', 'weight_update')
# Not held to the copy bandwidth.
NOT_STREAMING = ('linear', 'embedding', 'correct_count', 'weight_update')
ON_HOST = ('weight_update',)  # no CUDA kernel computes it

# What a function of cuDNN does whole: peers/cudnn_ops.cpp.
BOTH_PARTS, FORWARD = ('forward', 'backward'), ('forward',)
CUDNN_PARTS = {
    **dict.fromkeys(('relu', 'sigmoid', 'tanh', 'silu', 'softmax', 'log_softmax', 'batch_norm',
                     'dropout', 'sum', 'row_sum', 'column_sum'), BOTH_PARTS),
    **dict.fromkeys(('batch_norm_evaluate', 'add', 'add_row', 'subtract', 'multiply', 'maximum',
                     'minimum', 'sqrt', 'square'), FORWARD)}


def ops(listed, on_host=True):
    """`listed`: (name of a benchmark of op_bench, whether it has a gradient)."""
    for name, differentiable in listed:
        if name in ON_HOST and not on_host:
            continue
        for part in ('forward', 'backward')[:1 + differentiable]:
            share = LEAST_COPY_SHARE * (part == 'forward' and name not in NOT_STREAMING)
            peers = (TORCH, CUDNN) if part in CUDNN_PARTS.get(name, ()) else (TORCH,)
            yield Case(f'{name} {part}', 'ops', 'op', {'name': name, 'part': part}, peers,
                       least_share=share, seconds=1.0, quick=name in QUICK_OPS, fresh=False)


# name: rows, inputs, outputs
LAYERS = {
    'gpt2 qkv': (1024, 768, 2304), 'gpt2 projection': (1024, 768, 768),
    'gpt2 up': (1024, 768, 3072), 'gpt2 down': (1024, 3072, 768), 'gpt2 head': (256, 768, 50257),
    'mlp first': (64, 784, 512), 'mlp middle': (64, 512, 512), 'mlp last': (64, 512, 10),
    'narrow': (65536, 64, 64), 'narrow to 10': (65536, 32, 10),
    'ragged': (257, 331, 1003), 'ragged small': (31, 17, 45),
    'batch of one': (1, 768, 3072), 'batch of four': (4, 768, 3072),
    'batch of eight': (8, 768, 3072)}


# Of these also relu or gelu_tanh: cublasLt has epilogues of them and none of gelu.
RELU_LAYERS = ('mlp first', 'mlp middle', 'narrow', 'ragged', 'gpt2 up')
GELU_TANH_LAYERS = ('gpt2 up', 'gpt2 down', 'ragged')


def layer(name, part, activation='gelu'):
    rows, inputs, outputs = LAYERS[name]
    said = '' if activation == 'gelu' else f'{activation} '
    fused = part == 'wgrad' or activation != 'gelu'
    return Case(f'{name} {rows} x {inputs} x {outputs} {said}{part}', 'layers', 'layer',
                {'rows': str(rows), 'inputs': str(inputs), 'outputs': str(outputs), 'part': part,
                 'activation': activation}, (TORCH, ONEDNN) + (CUBLASLT,) * fused, seconds=1.0,
                quick=name in ('mlp middle', 'ragged', 'batch of one'), fresh=False)


def layers():
    for name in LAYERS:
        for part in ('forward', 'dgrad', 'wgrad'):
            yield layer(name, part)
    for activation, names in (('relu', RELU_LAYERS), ('gelu_tanh', GELU_TANH_LAYERS)):
        for name in names:
            for part in ('forward', 'dgrad'):
                yield layer(name, part, activation)


def growth(threads):
    def point(axis, at, widths, batch, **words):
        given = network(widths, batch, activation='gelu', loss='cross_entropy', optimizer='adamw',
                        **words)
        return Case(f'growth: {axis} {at}', 'growth', 'network', given, (TORCH,), axis=(axis, at),
                    seconds=1.0, quick=at in (2, 64), fresh=False)

    for batch in (1, 4, 16, 64, 256, 1024, 4096):
        yield point('batch', batch, [256] * 3 + [10], batch)
    for width in (16, 64, 256, 1024):
        yield point('width', width, [width] * 3 + [10], 64)
    for depth in (1, 2, 4, 8, 16, 32):
        yield point('depth', depth, [128] * depth + [10], 64)
    used = 1
    while used <= threads:
        yield point('threads', used, [512] * 4 + [10], 512, threads=str(used))
        used = threads if used < threads < 2 * used else 2 * used


def graphs():
    for layers_ in (10, 100, 1000):
        words = network([8] * (layers_ + 1), 4, activation='relu', optimizer='adamw')
        for kind in ('build', 'compile'):
            yield Case(f'{kind} {layers_} layers', 'graphs', kind, words, (), seconds=4.0,
                       quick=layers_ < 1000)


TRACES = ('gpt2', 'gpt2_late_wgrad', 'gpt2_stored_scores', 'gpt_1.3b_recompute',
          'gpt_1.3b_update_at_end', 'gpt_6.7b_recompute', 'unet')


def placements():
    for trace in TRACES:
        yield Case(f'place {trace}', 'placement', 'placement', {'trace': trace}, (), seconds=1.5,
                   quick=trace in ('gpt2', 'unet'), fresh=False)


def all_cases(listed_ops, threads):
    """Those of a GPU, `threads` 0, leave out what no device has a part in."""
    on_host = [*graphs(), *placements()] if threads > 0 else []
    return [*steps(), *ops(listed_ops, threads > 0), *layers(), *growth(threads), *on_host,
            Case('start to first mlp step', 'start', 'start', {**MLP, 'checked': '1'}, (TORCH,),
                 most_seconds=MOST_START_SECONDS)]
