#!/usr/bin/env -S python3 -B
# PyTorch's side of steps_bench: the same words on the command line, the same lines in and out.
# Initial values and inputs are read from data=FILE. compiled=1 wraps the step in torch.compile;
# "import_only" stops after the imports. Optimizers run fused, PyTorch's quickest form on a CPU.
import json
import sys
import time


def settings(words):
    return dict(word.split('=', 1) for word in words)


def load(path):
    from safetensors.torch import load_file
    return load_file(path)


def optimizer(parameters, given):
    import torch
    rate = float(given.get('rate', 1e-3))
    if given.get('optimizer', 'adamw') == 'sgd':
        return torch.optim.SGD(parameters, lr=rate, fused=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, fused=True)


def network(given, tensors):
    from torch import nn
    import torch
    widths = [int(width) for width in given['widths'].split(',')]
    functions = {'relu': nn.ReLU, 'gelu': nn.GELU, 'sigmoid': nn.Sigmoid, 'tanh': nn.Tanh}
    function = functions[given.get('activation', 'relu')]
    layers = []
    for i in range(1, len(widths)):
        layer = nn.Linear(widths[i - 1], widths[i])
        with torch.no_grad():
            layer.weight.copy_(tensors.pop(f'w{i}'))
            layer.bias.copy_(tensors.pop(f'b{i}'))
        layers.append(layer)
        if i + 1 < len(widths) or given.get('last_activation', '0') != '0':
            layers.append(function())
    return nn.Sequential(*layers)


def loss_function(name):
    from torch.nn import functional
    return {'cross_entropy': functional.cross_entropy,
            'mean_squared_error': functional.mse_loss,
            'half_squares': lambda y, target: 0.5 * ((y - target) ** 2).sum()}[name]


def network_step(given):
    """One training step that returns its loss; the loss leaves the device as ours does."""
    import torch
    tensors = load(given['data'])
    x, target = tensors.pop('input.x'), tensors.pop('input.target')
    if target.dtype == torch.int32:
        target = target.long()
    model = network(given, tensors)
    update = optimizer(model.parameters(), given)
    loss_of = loss_function(given.get('loss', 'cross_entropy'))

    def forward(x, target):
        return loss_of(model(x), target)

    if given.get('compiled') == '1':
        forward = torch.compile(forward)

    def step():
        update.zero_grad(set_to_none=True)
        loss = forward(x, target)
        loss.backward()
        update.step()
        return loss.item()

    return step, [step() for _ in range(int(given.get('checked', 5)))]


def op_step(given):
    """One op into memory that is there already, so that no step pays for fresh pages."""
    import torch
    tensors = load(given['data'])
    x, other, op = tensors['x'], tensors.get('other'), given['op']
    if op == 'adamw':
        x.grad = other
        step = torch.optim.AdamW([x], lr=1e-3, weight_decay=0.01, fused=True).step
        result = x
    else:
        result = torch.empty(x.shape[1]) if op == 'column_sum' else torch.empty_like(x)
        step = {'add': lambda: torch.add(x, other, out=result),
                'gelu': lambda: torch._C._nn.gelu(x, out=result),
                'softmax': lambda: torch.softmax(x, -1, out=result),
                'column_sum': lambda: torch.sum(x, 0, out=result)}[op]
    for _ in range(5):
        step()
    return step, result.flatten()[:8].tolist()


def peak_resident_bytes():
    with open('/proc/self/status') as status:
        line = next(line for line in status if line.startswith('VmHWM:'))
    return 1024 * int(line.split()[1])


def serve(step):
    for line in sys.stdin:
        if line.strip() == 'memory':
            print(peak_resident_bytes(), flush=True)
            continue
        steps = range(int(line))
        begin = time.perf_counter()
        for _ in steps:
            step()
        print(f'{time.perf_counter() - begin:.9f}', flush=True)


def main():
    kind, given = sys.argv[1], settings(sys.argv[2:])
    import torch
    torch.set_num_threads(int(given.get('threads', 1)))
    torch.set_float32_matmul_precision('highest')
    if kind == 'import_only':
        import safetensors.torch  # noqa: F401
        from torch import nn, optim  # noqa: F401
        step, check = (lambda: None), []
    elif kind == 'network':
        step, check = network_step(given)
    else:
        torch.set_grad_enabled(False)
        step, check = op_step(given)
    print(json.dumps({'check': check, 'version': torch.__version__}), flush=True)
    serve(step)


if __name__ == '__main__':
    main()
