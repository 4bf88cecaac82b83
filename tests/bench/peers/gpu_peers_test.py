#!/usr/bin/env -S python3 -B
# The peers of a GPU, on twins of their libraries, give the numbers of fornax for every case that
# lists them, and say what they do not serve.   gpu_peers_test.py FOLDER_OF_THE_PROGRAMS
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import cases  # noqa: E402
from bench import PROGRAMS, RANDOM, check_same, words_of  # noqa: E402
from servers import Failure, Server, check_equal  # noqa: E402

FOLDER = pathlib.Path(sys.argv[-1])
TWIN_WORKSPACE = 16 << 20  # the twin of cublasLt wants half of what it may have


class Peers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = str(pathlib.Path(folder.name) / 'operands.safetensors')
        self.servers = {}

    def load(self, side, kind, given):
        """`side`: ours, on the CPU, or a peer."""
        if side not in self.servers:
            ours = 'op_bench' if kind == 'op' else 'steps_bench'
            program = ours if side == 'ours' else f'{PROGRAMS[side][0]}_on_host'
            self.servers[side] = Server([FOLDER / program], 1)
            self.addCleanup(self.servers[side].close)
        device = 'cpu:1' if side == 'ours' else 'cuda:0'
        words = {**given, 'device': device, 'data': self.data}
        return self.servers[side].load(kind, words_of(words)).ready

    def load_both(self, peer, kind, given):
        ours = self.load('ours', kind, given)
        wanted = ','.join(f'{i:g}' for i in ours['wanted'])
        return ours, self.load(peer, kind, {**given, **({'wanted': wanted} if wanted else {})})


class Cublaslt(Peers):
    @staticmethod
    def layer(part, activation, shape=(5, 19, 24)):
        return {**dict(zip(('rows', 'inputs', 'outputs'), shape)), 'part': part,
                'activation': activation}

    def test_numbers_are_those_of_fornax(self):
        listed = {(case.words['part'], case.words['activation']) for case in cases.layers()
                  if cases.CUBLASLT in case.peers}
        self.assertEqual(len(listed), 5)
        for shape in ((5, 19, 24), (1, 8, 130), (64, 129, 10), (13, 1, 1)):
            for part, activation in sorted(listed):
                with self.subTest(shape=shape, part=part, activation=activation):
                    ours, theirs = self.load_both('cublaslt', 'layer',
                                                  self.layer(part, activation, shape))
                    check_equal(ours['check'], theirs['check'])
                    self.assertTrue(theirs['version'])

    def test_numbers_of_another_layer_are_not(self):
        for part in ('forward', 'dgrad'):
            ours = self.load('ours', 'layer', self.layer(part, 'relu'))
            theirs = self.load('cublaslt', 'layer', self.layer(part, 'gelu_tanh'))
            with self.assertRaises(Failure):
                check_equal(ours['check'], theirs['check'])

    def test_steps_repeat_and_memory_is_that_of_the_device(self):
        self.load_both('cublaslt', 'layer', self.layer('forward', 'relu', (5, 19, 24)))
        self.assertGreater(self.servers['cublaslt'].ask('3'), 0)
        operands = 4 * (5 * 19 + 19 * 24 + 24 + 5 * 24)
        self.assertEqual(self.servers['cublaslt'].ask('memory'), operands + TWIN_WORKSPACE)

    def test_what_is_not_fused_is_refused(self):
        with self.assertRaisesRegex(Failure, 'cublasLt has no epilogue of gelu'):
            self.load_both('cublaslt', 'layer', self.layer('forward', 'gelu'))


class Cudnn(Peers):
    ROWS = 8

    def load_case(self, case):
        rows = 256 if case.words['name'] in RANDOM else self.ROWS  # as many have the same mean
        return self.load_both('cudnn', 'op', {**case.words, 'rows': rows})

    def test_numbers_are_those_of_fornax(self):
        listed = [case for case in cases.ops([(name, True) for name in cases.CUDNN_PARTS])
                  if cases.CUDNN in case.peers]
        self.assertEqual(len(listed), sum(map(len, cases.CUDNN_PARTS.values())))
        for case in listed:
            with self.subTest(case=case.name):
                ours, theirs = self.load_case(case)
                check_same(case, ours['check'], theirs['check'])
                self.assertEqual(len(ours['check']), len(theirs['check']))

    def test_numbers_of_another_op_are_not(self):
        add, subtract = ({'name': name, 'part': 'forward', 'rows': self.ROWS}
                         for name in ('add', 'subtract'))
        ours, theirs = self.load('ours', 'op', add), self.load('cudnn', 'op', subtract)
        with self.assertRaises(Failure):
            check_equal(ours['check'], theirs['check'])

    def test_what_no_function_does_is_refused(self):
        for name, part in (('gelu', 'forward'), ('add', 'backward'),
                           ('batch_norm_evaluate', 'backward')):
            with self.assertRaisesRegex(Failure, f'cuDNN: no function does {name} {part}'):
                self.load_both('cudnn', 'op', {'name': name, 'part': part, 'rows': self.ROWS})
            self.servers.pop('cudnn')

    def test_memory_is_that_of_the_device(self):
        self.load_both('cudnn', 'op', {'name': 'relu', 'part': 'backward', 'rows': self.ROWS})
        self.assertGreater(self.servers['cudnn'].ask('2'), 0)
        tensors = 4 * 4 * self.ROWS * 1024  # x, its seed, y, dx
        self.assertLess(self.servers['cudnn'].ask('memory') - tensors, 16)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
