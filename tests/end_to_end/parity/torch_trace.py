#!/usr/bin/env -S python3 -B
# PyTorch's side of the parity runs: trains the models of models.cpp from the initial values and
# data that ours wrote, in f64 and in f32, and writes what it saw as safetensors.
#
#   torch_trace.py EXPORTED OUT      EXPORTED: folder of ours; OUT: folder for the traces
import argparse
import hashlib
import pathlib
import platform

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as f

STEPS, MIDDLE = 100, 50
IGNORED = -100
PRECISIONS = {'f64': torch.float64, 'f32': torch.float32}


def dense(p, name, x):
    return f.linear(x, p['w' + name], p['b' + name])


def gelu_tanh(x):
    return f.gelu(x, approximate='tanh')


class Model:
    """loss(p, batch, training) of parameters by name; one optimizer; the rate of each step."""

    clip_norm = None
    rate = 0.0

    def rate_of(self, step):
        return self.rate


class Classifier(Model):
    clip_norm, rate = 0.5, 0.02

    def loss(self, p, batch, training):
        h = gelu_tanh(dense(p, '1', batch['x']))
        logits = dense(p, '3', gelu_tanh(dense(p, '2', h)))
        return f.cross_entropy(logits, batch['label'], ignore_index=IGNORED, label_smoothing=0.1)

    def optimizer(self, p):
        groups = [{'params': [p['w1'], p['w2']]},
                  {'params': [p['b1'], p['b2'], p['b3']], 'weight_decay': 0.0},
                  {'params': [p['w3']], 'lr': 0.5 * self.rate}]
        return torch.optim.AdamW(groups, lr=self.rate, weight_decay=0.1)


class BatchNorm(Model):
    rate = 0.02

    def loss(self, p, batch, training):
        h = batch['x'].flatten(0, 1)
        for linear, norm in (('0', '1.norm'), ('3', '4.norm')):
            h = f.linear(h, p[f'{linear}.weight'])
            h = f.batch_norm(h, p[f'{norm}.running_mean'], p[f'{norm}.running_variance'],
                             p[f'{norm}.scale'], p[f'{norm}.shift'], training, momentum=0.1,
                             eps=1e-5)
            h = f.relu(h)
        logits = f.linear(h, p['6.weight'], p['6.bias'])
        return f.cross_entropy(logits, batch['label'].flatten())

    def optimizer(self, p):
        learned = [value for value in p.values() if value.requires_grad]
        return torch.optim.SGD(learned, lr=self.rate, momentum=0.9, weight_decay=0.01)


class Tied(Model):
    rate = 0.01

    def loss(self, p, batch, training):
        h = f.silu(dense(p, '1', f.embedding(batch['words'], p['table'])))
        h = torch.tanh(dense(p, '2', h)) * torch.sigmoid(dense(p, '3', h))
        h = f.gelu(dense(p, '4', h))
        logits = f.linear(h, p['table'])
        return f.cross_entropy(logits.flatten(0, 1), batch['next'].flatten(), ignore_index=IGNORED)

    def optimizer(self, p):
        return torch.optim.AdamW(p.values(), lr=self.rate, betas=(0.8, 0.95), eps=1e-6)


class Views(Model):
    rate = 0.03

    def mixed(self, left, right):
        h = f.relu(left) + torch.tanh(right) * torch.sigmoid(left)
        h = h + (f.silu(right) - f.gelu(left))
        h = h + gelu_tanh(0.5 - right)
        ratio = h / torch.sqrt(h.square() + 0.1)
        h = h + torch.log(torch.exp(ratio) + 1.0)
        return torch.maximum(torch.minimum(h, left * 2.0), right * -0.5)

    def loss(self, p, batch, training):
        h = dense(p, '1', batch['x'].permute(1, 0, 2)) * p['gain'] + p['offset']
        m = self.mixed(h[..., :3], h[..., 3:])
        m = m * f.softmax(dense(p, '2', h), dim=-1)
        centred = m - m.mean(dim=2, keepdim=True)
        rows = centred.transpose(0, 1).reshape(8, 9)
        error = f.mse_loss(dense(p, '3', rows), batch['target'])
        spread = (m.sum(dim=(0, 2)).expand(2, 8) - 1.0).square().mean()
        evenness = -f.log_softmax(m, dim=-1).mean()
        return error + spread * 0.01 + evenness / 20.0

    def optimizer(self, p):
        return torch.optim.SGD(p.values(), lr=self.rate, momentum=0.8, weight_decay=1e-3,
                               nesterov=True)


class Logistic(Model):
    clip_norm, rate = 0.3, 0.3

    def rate_of(self, step):
        return self.rate / (1 + 0.03 * step)

    def loss(self, p, batch, training):
        logits = dense(p, '2', torch.tanh(dense(p, '1', batch['x'])))
        return f.binary_cross_entropy_with_logits(logits, batch['target'])

    def optimizer(self, p):
        return torch.optim.SGD(p.values(), lr=self.rate)


class Dropout(Model):
    """The masks are ours: another library's random stream cannot be drawn again."""
    rate = 0.1
    drop_p = 0.2

    def drop(self, x, mask, training):
        return x * mask / (1 - self.drop_p) if training else x

    def loss(self, p, batch, training):
        h = self.drop(f.silu(dense(p, '1', batch['x'])), batch['first_mask'], training)
        h = self.drop(torch.tanh(dense(p, '2', h)), batch['second_mask'], training)
        return f.mse_loss(dense(p, '3', h), batch['target'])

    def optimizer(self, p):
        return torch.optim.SGD(p.values(), lr=self.rate, weight_decay=0.02)


MODELS = {'classifier': Classifier(), 'batch_norm': BatchNorm(), 'tied': Tied(), 'views': Views(),
          'logistic': Logistic(), 'dropout': Dropout()}


class Training:
    def __init__(self, model, tensors, dtype):
        self.model = model
        self.values, self.data = {}, {}
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                tensor = tensor.to(dtype)
            elif tensor.dtype == torch.int32:
                tensor = tensor.long()
            if name.startswith('input.'):
                self.data[name.removeprefix('input.')] = tensor
            else:
                self.values[name] = tensor.requires_grad_('running_' not in name)
        self.update = model.optimizer(self.values)
        self.factors = [group['lr'] / model.rate for group in self.update.param_groups]

    def batch(self, step):
        return {name: stacked[step % len(stacked)] for name, stacked in self.data.items()}

    def step(self, step, trace):
        self.update.zero_grad()
        loss = self.model.loss(self.values, self.batch(step), True)
        loss.backward()
        trace['losses'].append(loss.detach())
        learned = {name: v for name, v in self.values.items() if v.requires_grad}
        if step == 0:
            trace |= {f'gradient/{name}': v.grad.clone() for name, v in learned.items()}
        if self.model.clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(learned.values(), self.model.clip_norm)
            trace['norms'].append(norm)
        for group, factor in zip(self.update.param_groups, self.factors):
            group['lr'] = factor * self.model.rate_of(step)
        self.update.step()

    def snapshot(self):
        return {name: value.detach().clone() for name, value in self.values.items()}

    def moments(self):
        """The optimizer's state by the names of fornax."""
        keys = {'momentum_buffer': 'moment1', 'exp_avg': 'moment1', 'exp_avg_sq': 'moment2'}
        found = {}
        for name, value in self.values.items():
            for key, moment in self.update.state.get(value, {}).items():
                if key in keys and moment is not None:
                    found[f'{name}.{keys[key]}'] = moment.clone()
        return found

    def run(self):
        trace = {'losses': [], 'norms': []}
        for step in range(STEPS):
            if step == MIDDLE:
                middle = {**self.snapshot(), **self.moments()}
            self.step(step, trace)
        trace['losses'] = torch.stack(trace['losses'])
        norms = trace.pop('norms')
        if norms:
            trace['norms'] = torch.stack(norms)
        trace |= {f'final/{name}': value for name, value in self.snapshot().items()}
        if trace['losses'].dtype == torch.float64:
            trace |= {f'middle/{name}': value for name, value in middle.items()}
        with torch.no_grad():
            trace['evaluate_loss'] = self.model.loss(self.values, self.batch(0), False)
        return trace


def trace_of(name, exported):
    trace = {}
    for precision, dtype in PRECISIONS.items():
        training = Training(MODELS[name], load_file(exported), dtype)
        trace |= {f'{precision}/{key}': value for key, value in training.run().items()}
    return trace


def every_dtype():
    """Tensors of every element type that both know, and of awkward shapes."""
    numbers = torch.arange(-3, 9)
    kinds = {'f32': torch.float32, 'f64': torch.float64, 'bf16': torch.bfloat16,
             'f16': torch.float16, 'i32': torch.int32, 'i64': torch.int64}
    tensors = {name: (numbers * 5).to(dtype).reshape(3, 4) for name, dtype in kinds.items()}
    tensors['u8'] = (numbers + 200).to(torch.uint8)
    tensors['bool'] = numbers % 3 == 0
    tensors['scalar'] = torch.tensor(0.1, dtype=torch.float64)
    tensors['empty'] = torch.empty(2, 0, 3)
    tensors['transposed'] = numbers.to(torch.float32).reshape(3, 4).t().contiguous()
    return tensors


def main():
    parser = argparse.ArgumentParser(description="PyTorch's side of the parity runs.")
    parser.add_argument('exported', type=pathlib.Path, help='folder with the files of ours')
    parser.add_argument('out', type=pathlib.Path, help='folder for the traces')
    options = parser.parse_args()
    torch.set_num_threads(1)
    metadata = {'format': 'pt', 'pytorch': torch.__version__, 'machine': platform.machine(),
                'safetensors': safetensors.__version__}
    options.out.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        exported = options.exported / f'{name}.safetensors'
        digest = hashlib.sha256(exported.read_bytes()).hexdigest()
        save_file(trace_of(name, exported), options.out / f'{name}.safetensors',
                  {**metadata, 'initial_sha256': digest})
    save_file(every_dtype(), options.out / 'dtypes.safetensors', metadata)
    print(f'PyTorch {torch.__version__}, safetensors {safetensors.__version__}: '
          f'{len(MODELS)} models, {STEPS} steps each, in {" and ".join(PRECISIONS)}')


if __name__ == '__main__':
    main()
