#!/usr/bin/env -S python3 -B
# PyTorch's side of steps_bench and op_bench: the same words, the same lines in and out (server.h).
# Initial values and inputs are read from data=FILE. compiled=1 has torch.compile make all up to the
# loss of a network, captured=1 also captures the whole step as one CUDA graph; "import_only" stops
# after the imports. Optimizers run fused, PyTorch's quickest form. A network's step begins with its
# batch in ordinary host memory and ends with the loss there.
import ctypes
import gc
import json
import sys
import time

import torch_ops


def settings(words):
    return dict(word.split('=', 1) for word in words)


def device_of(given):
    name = given.get('device', 'cpu')
    return name if name.startswith('cuda') else 'cpu'


def synchronize(given):
    """Waits for a GPU, so that times end with the work."""
    if device_of(given) != 'cpu':
        import torch
        torch.cuda.synchronize()


def load(given, on_host=()):
    """The tensors of data=FILE on the device, those named in `on_host` in the host's memory."""
    from safetensors.torch import load_file
    device = device_of(given)
    # Copies: the file's pages are not this process's memory.
    tensors = {name: tensor.to('cpu' if name in on_host else device, copy=True)
               for name, tensor in load_file(given['data']).items()}
    forget_peak()
    return tensors


def optimizer(parameters, given):
    import torch
    rate = float(given.get('rate', 1e-3))
    if given.get('optimizer', 'adamw') == 'sgd':
        return torch.optim.SGD(parameters, lr=rate, fused=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, fused=True,
                             capturable=given.get('captured') == '1')


def network(given, tensors):
    from torch import nn
    import torch
    widths = [int(width) for width in given['widths'].split(',')]
    functions = {'relu': nn.ReLU, 'gelu': nn.GELU, 'sigmoid': nn.Sigmoid, 'tanh': nn.Tanh}
    function = functions[given.get('activation', 'relu')]
    layers = []
    for i in range(1, len(widths)):
        layer = nn.Linear(widths[i - 1], widths[i], device=device_of(given))
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
    """One training step that returns its loss; the batch goes to the device and the loss leaves it
    as ours do."""
    import torch
    device = device_of(given)
    tensors = load(given, on_host=('input.x', 'input.target'))
    x, target = tensors.pop('input.x'), tensors.pop('input.target')
    if target.dtype == torch.int32:
        target = target.long()
    model = network(given, tensors)
    update = optimizer(model.parameters(), given)
    loss_of = loss_function(given.get('loss', 'cross_entropy'))

    def forward(x, target):
        return loss_of(model(x), target)

    def train(x, target):
        update.zero_grad(set_to_none=True)
        loss = forward(x, target)
        loss.backward()
        update.step()
        return loss

    checked = int(given.get('checked', 5))
    captured = given.get('captured') == '1'
    if captured or given.get('compiled') == '1':
        torch.compiler.reset()  # code of an earlier case is of other shapes
        # On a GPU the quickest mode, which captures forward and backward as CUDA graphs.
        mode = 'default' if captured or device == 'cpu' else 'reduce-overhead'
        forward = torch.compile(forward, dynamic=False, mode=mode)
    if captured:
        return captured_step(train, (model, update), (x, target), checked)

    def step():
        return train(x.to(device), target.to(device)).item()

    return step, [[step() for _ in range(checked)]]


def captured_step(train, state, batch, checked):
    """Replays of one graph of the whole step, whose inputs are copied to where it reads them.
    `state`: the model and its optimizer. Losses are those of the steps that warm up, which capture
    demands and which train as any other, and of the first replay."""
    import torch
    model, update = state
    losses = []
    static = [tensor.to(next(model.parameters()).device) for tensor in batch]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(checked - 1):
            losses.append(train(*static).item())
    torch.cuda.current_stream().wait_stream(stream)
    update.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = train(*static)

    def step():
        for to, tensor in zip(static, batch):
            to.copy_(tensor)
        graph.replay()
        return loss.item()

    return step, [[*losses, step()]]


def digest(tensor):
    """As operand_case.h: the mean magnitude and up to 64 elements, evenly spaced."""
    import torch
    flat = tensor.detach().flatten()
    count = flat.numel()
    shown = min(count, 64)
    at = torch.tensor([i * (count - 1) // (shown - 1) if shown > 1 else 0 for i in range(shown)],
                      device=flat.device)
    return [flat.abs().mean(dtype=torch.float64).item(), *flat[at].double().tolist()]


def differentiated(function, inputs, seeds, wanted):
    """A function that gives results and gradients from given gradients of the results."""
    import torch
    chosen = [inputs[i].requires_grad_() for i in wanted]

    def step():
        results = function(*inputs)
        results = list(results) if isinstance(results, tuple) else [results]
        return results + list(torch.autograd.grad(results, chosen, seeds))

    return step


def numbered(tensors, word):
    """The tensors word0, word1, ... in order."""
    return [tensors[f'{word}{i}'] for i in range(sum(key.startswith(word) for key in tensors))]


def without_gradients(function, inputs):
    import torch

    @torch.no_grad()
    def step():
        return function(*inputs)

    return step


def op_step(given):
    import torch
    name, tensors = given['name'], load(given)
    inputs = [x.long() if x.dtype == torch.int32 else x for x in numbered(tensors, 'input')]
    if name in torch_ops.UPDATES:
        step, results = torch_ops.UPDATES[name](name, inputs)
        step()
        return step, [digest(tensor) for tensor in results]
    function = torch_ops.formulas()[name]
    if given['part'] == 'backward':
        step = differentiated(function, inputs, numbered(tensors, 'seed'),
                              [int(i) for i in given['wanted'].split(',')])
    else:
        step = without_gradients(function, inputs)
    results = step()
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    return step, [digest(tensor) for tensor in results]


def layer_step(given):
    """As step_cases.h says of a layer."""
    import torch
    from torch.nn import functional
    t = load(given)
    aten = torch.ops.aten
    activate, gradient = {
        'gelu': (functional.gelu, aten.gelu_backward),
        'gelu_tanh': (lambda x: functional.gelu(x, approximate='tanh'),
                      lambda dy, h: aten.gelu_backward(dy, h, approximate='tanh')),
        'relu': (functional.relu, lambda dy, y: aten.threshold_backward(dy, y, 0)),
    }[given.get('activation', 'gelu')]

    def forward():
        return [activate(functional.linear(t['x'], t['w'], t['b']))]

    def dgrad():
        dx = gradient(torch.mm(t['dy'], t['w']), t['h'])
        return [dx, dx.sum(0)]

    def wgrad():
        return [torch.mm(t['dy'].t(), t['x'])]

    step = without_gradients({'forward': forward, 'dgrad': dgrad, 'wgrad': wgrad}[given['part']],
                             ())
    return step, [digest(tensor) for tensor in step()]


KINDS = {'network': network_step, 'op': op_step, 'layer': layer_step,
         'import_only': lambda given: ((lambda: None), [])}


def memory_bytes(field):
    with open('/proc/self/status') as status:
        line = next(line for line in status if line.startswith(field))
    return 1024 * int(line.split()[1])


def forget_peak():
    """Lets the peak of resident bytes begin anew; gives what is resident."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')
    import torch
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    return memory_bytes('VmRSS:')


class Process:
    def __init__(self):
        self.step, self.given, self.resident_before = None, {}, 0

    def load(self, words):
        import torch
        self.given = settings(words[1:])
        torch.set_num_threads(int(self.given.get('threads', 1)))
        torch.set_float32_matmul_precision('highest')  # f32 products are those of f32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.step, check = KINDS[words[0]](self.given)
        if words[0] in ('op', 'layer'):
            forget_peak()  # what the check took is not a step's
        print(json.dumps({'check': check, 'version': torch.__version__}), flush=True)

    def time(self, steps):
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        synchronize(self.given)
        return time.perf_counter() - begin

    def peak_bytes(self):
        """Of a GPU its own memory, else the host's that was added since the load."""
        if device_of(self.given) != 'cpu':
            import torch
            return torch.cuda.max_memory_allocated()
        return memory_bytes('VmHWM:') - self.resident_before

    def answer(self, line):
        if line == 'memory':
            print(self.peak_bytes(), flush=True)
        elif line.startswith('load '):
            self.step = None
            self.resident_before = forget_peak()
            self.load(line.split()[1:])
        else:
            print(f'{self.time(int(line)):.9f}', flush=True)


def main():
    import torch  # noqa: F401
    import safetensors.torch  # noqa: F401
    from torch import nn, optim  # noqa: F401
    process = Process()
    if len(sys.argv) > 1:
        process.load(sys.argv[1:])
    for line in sys.stdin:
        process.answer(line.strip())


if __name__ == '__main__':
    main()
