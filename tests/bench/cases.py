# The cases of tests/bench/run: the words that both servers understand, the least work that a step
# can be, and the ratio to a peer that fornax is held to.
from dataclasses import dataclass, field

ELEMENT_BYTES = 4


@dataclass
class Case:
    name: str
    kind: str      # network, op, build, compile: steps_bench.cpp; start: process to first step
    words: dict
    targets: dict = field(default_factory=dict)  # peer -> least ratio peer / ours
    quick: bool = True                           # part of --quick
    peers: bool = True                           # false: nothing to compare with

    def server_kind(self):
        return 'network' if self.kind == 'start' else self.kind

    def work(self):
        """(FLOPs, bytes) that no implementation of one step can do without."""
        if self.kind == 'network':
            return network_work(self.words)
        if self.kind == 'op':
            return 0.0, op_bytes(self.words)
        return 0.0, 0.0


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
    elements = 2 * parameters * (1 + moments) + batch * widths[0] + 2 * batch * sum(widths[1:-1])
    return flops, float(ELEMENT_BYTES * elements)


def op_bytes(words):
    """Operands and results once each: x + y -> z; x -> y; x -> sums; AdamW p g m v -> p m v."""
    tensors = {'add': 3, 'gelu': 2, 'softmax': 2, 'column_sum': 1, 'adamw': 7}[words['op']]
    return float(ELEMENT_BYTES * tensors * int(words['rows']) * int(words['columns']))


def network(widths, batch, **words):
    return {'widths': ','.join(map(str, widths)), 'batch': str(batch), **words}


def op(name, rows, columns):
    return Case(f'{name} {rows} x {columns}', 'op',
                {'op': name, 'rows': str(rows), 'columns': str(columns)})


MLP = network([784, 512, 512, 10], 64, activation='relu', loss='cross_entropy', optimizer='adamw')


def all_cases():
    cases = [
        Case('three_layer 3-5-3', 'network',
             network([3, 5, 3], 1, activation='sigmoid', last_activation='1', loss='half_squares',
                     optimizer='sgd', rate='0.1'), {'torch': 30.0}),
        Case('mlp 784-512-512-10', 'network', MLP, {'torch': 1.5, 'torch.compile': 1.2}),
        Case('mlp gelu, sgd', 'network', {**MLP, 'activation': 'gelu', 'optimizer': 'sgd'},
             {'torch': 1.5, 'torch.compile': 1.2}),
        Case('wide mlp 4096', 'network',
             network([4096] * 4, 256, activation='relu', loss='mean_squared_error',
                     optimizer='sgd'), {'torch': 1.1}, quick=False),
    ]
    for width in (32, 64, 128):
        cases.append(Case(f'narrow mlp {width}', 'network',
                          network([width] * 4 + [10], 65536, activation='relu',
                                  loss='cross_entropy', optimizer='adamw'), {'torch': 2.0}))
    cases += [op(name, 16384, 1024) for name in ('add', 'gelu', 'softmax', 'column_sum', 'adamw')]
    for layers in (10, 100, 1000):
        words = network([8] * (layers + 1), 4, activation='relu', optimizer='adamw')
        for kind in ('build', 'compile'):
            cases.append(Case(f'{kind} {layers} layers', kind, words, quick=layers < 1000,
                              peers=False))
    cases.append(Case('start to first mlp step', 'start', {**MLP, 'checked': '1'}))
    return cases
