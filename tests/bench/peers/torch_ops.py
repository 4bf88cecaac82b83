# PyTorch's form of every benchmark of tests/bench/op_bench: by its name, a function of the case's
# inputs, in their order, that gives the case's results. Updates are functions that change inputs.


def formulas():
    import torch
    from torch.nn import functional as f

    def correct_count(logits, labels):
        counted = labels != 2
        return (((logits.argmax(-1) == labels) & counted).sum(dtype=torch.int32),
                counted.sum(dtype=torch.int32))

    def batch_norm(train):
        return lambda x, scale, shift, mean, variance: f.batch_norm(
            x, mean, variance, scale, shift, training=train, momentum=0.25, eps=1e-5)

    def clip_scale(*gradients):
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        return torch.clamp(2.0 / norm, max=1.0), norm

    def cross_entropy(logits, labels):
        return f.cross_entropy(logits.flatten(0, -2), labels.flatten())

    def squared(shape_of):
        return lambda x: shape_of(torch.square(x)).contiguous()

    return {
        'relu': torch.relu, 'gelu': f.gelu, 'silu': f.silu, 'sigmoid': torch.sigmoid,
        'tanh': torch.tanh, 'gelu_tanh': lambda x: f.gelu(x, approximate='tanh'),
        'add': torch.add, 'add_row': torch.add, 'subtract': torch.sub, 'multiply': torch.mul,
        'divide': torch.div, 'maximum': torch.maximum, 'minimum': torch.minimum,
        'negate': torch.neg, 'exp': torch.exp, 'log': torch.log, 'sqrt': torch.sqrt,
        'add_constant': lambda x: torch.add(x, torch.full_like(x, 0.3)),
        'square': torch.square, 'cast_f32_bf16': lambda x: x.to(torch.bfloat16),
        'sum': lambda x: torch.square(x).sum(), 'row_sum': lambda x: torch.square(x).sum(-1),
        'column_sum': lambda x: torch.square(x).sum(0),
        'middle_sum': lambda x: torch.square(x).sum(1),
        'softmax': lambda x: torch.softmax(x, -1),
        'log_softmax': lambda x: torch.log_softmax(x, -1),
        'cross_entropy': cross_entropy, 'cross_entropy_tokens': cross_entropy,
        'correct_count': correct_count,
        'mean_squared_error': f.mse_loss,
        'binary_cross_entropy': f.binary_cross_entropy_with_logits,
        'dropout': lambda x: f.dropout(x, 0.3),
        'embedding': lambda table, indices: f.embedding(indices, table),
        'linear': f.linear,
        'batch_norm': batch_norm(True), 'batch_norm_evaluate': batch_norm(False),
        'transpose': squared(lambda x: x.t()),
        'permute_heads': squared(lambda x: x.permute(0, 2, 1, 3)),
        'slice_columns': squared(lambda x: x[:, 3:60]),
        'broadcast': squared(lambda x: x.expand(4, x.shape[0], 6, x.shape[2])),
        'norm_of_many': clip_scale,
    }


def optimizer_step(name, inputs):
    """The update of six tensors by PyTorch's fused optimizers, with the settings of the OpCase."""
    import torch
    parts = [inputs[i:i + 6] for i in range(0, len(inputs), 6)]  # parameters, gradients, moments
    groups = []
    for i, (parameter, gradient) in enumerate(zip(*parts[:2])):
        parameter.grad = gradient
        groups.append({'params': [parameter], 'weight_decay': 0.05 * (i % 3),
                       'lr': 0.0625 * (1 + 0.3 * (i % 4))})
    if name == 'adamw':
        update = torch.optim.AdamW(groups, lr=0.0625, betas=(0.9, 0.999), eps=1e-8, fused=True)
        for parameter, first, second in zip(parts[0], *parts[2:]):
            # No step was made before: op_bench starts with a new state, whose step is 0.
            update.state[parameter] = {'step': torch.zeros((), device=parameter.device),
                                       'exp_avg': first, 'exp_avg_sq': second}
    else:
        momentum = 0.9 if name == 'sgd_momentum' else 0.0
        update = torch.optim.SGD(groups, lr=0.0625, momentum=momentum, fused=True)
        for parameter, first in zip(parts[0], parts[2] if momentum else []):
            update.state[parameter] = {'momentum_buffer': first}
    results = list(parts[0])
    # The outputs of the node: parameters, then each moment.
    for moments in parts[2:]:
        results += moments
    return update.step, results


def weight_update(_, inputs):
    """The gradient of one weight and its update by AdamW, with the settings of the OpCase."""
    import torch
    dy, x, parameter, first, second = inputs
    parameter.grad = torch.empty_like(parameter)
    update = torch.optim.AdamW([parameter], lr=0.0625 * 1.25, weight_decay=0.05, fused=True)
    update.state[parameter] = {'step': torch.zeros((), device=parameter.device),
                               'exp_avg': first, 'exp_avg_sq': second}

    def step():
        torch.mm(dy.t(), x, out=parameter.grad)
        update.step()
    return step, [parameter, first, second]


# What updates its inputs: name and inputs -> the step and what it leaves.
UPDATES = {'sgd': optimizer_step, 'sgd_momentum': optimizer_step, 'adamw': optimizer_step,
           'weight_update': weight_update}
