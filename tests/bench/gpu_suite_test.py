#!/usr/bin/env -S python3 -B
# tests/bench/run --device cuda:0 and tests/bench/report, where there is no GPU: their Python, with
# programs that stand in for those of the build.
import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

import bench
import servers
import stand_in
from suite_test import HERE, program

CASES = ('mlp 784|^softmax|gelu forward|mlp middle .* (relu forward|wgrad|512 forward)|batch 64'
         '|start|build 10 |place unet')


def run_suite(folder, *words):
    """Gives what it printed and its results."""
    file = pathlib.Path(folder) / 'results.json'
    run = program('run')
    said = io.StringIO()
    with mock.patch.object(run, 'build', lambda device: (pathlib.Path(folder), [])), \
            mock.patch.object(run, 'require_driver', lambda device: None), \
            mock.patch.object(servers, 'SETTLE_SECONDS', 0), \
            mock.patch.object(sys, 'argv', ['run', '--quick', '--json', str(file), *words]), \
            contextlib.redirect_stdout(said):
        run.main()
    return said.getvalue(), json.loads(file.read_text())


def stand_ins(folder):
    """A build of programs that stand in."""
    (folder / 'tests').mkdir()
    (folder / 'CMakeCache.txt').write_text('CMAKE_CXX_COMPILER:FILEPATH=c++\n')
    for name in (*stand_in.SECONDS, 'cuda_ceilings_bench', 'ceilings_bench'):
        shutil.copy(HERE / 'stand_in.py', folder / 'tests' / name)


def folder_of(test_class):
    """A folder of stand-ins for all tests of a class."""
    folder = tempfile.TemporaryDirectory()
    test_class.addClassCleanup(folder.cleanup)
    stand_ins(pathlib.Path(folder.name))
    return pathlib.Path(folder.name)


class Gpu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        python = str(cls.folder / 'tests' / 'python')
        cls.said, cls.report = run_suite(cls.folder, '--device', 'cuda:0', '--python', python,
                                         '--cases', CASES)

    def test_cases_have_floors_memory_and_peers(self):
        report = self.report
        found = {result['case']: result for result in report['results']}
        wgrad = found['mlp middle 64 x 512 x 512 wgrad']
        self.assertEqual({peer: its['ratio'] for peer, its in wgrad['peers'].items()},
                         {'torch': 2.0, 'cublaslt': 0.5})
        flops, rate = 2 * 64 * 512 * 512, 1e9 * stand_in.CEILINGS['fma_gflops']['device']
        self.assertEqual(wgrad['floor_by'], 'fma')
        self.assertAlmostEqual(wgrad['floor_seconds'], flops / rate, delta=1e-12)
        self.assertAlmostEqual(wgrad['floor_share'], 1e3 * flops / rate)
        self.assertEqual(wgrad['peak_bytes'], stand_in.ARENA_BYTES + stand_in.STATE_BYTES)
        self.assertEqual(wgrad['peers']['cublaslt']['peak_bytes'], 2500)
        softmax = found['softmax forward']
        self.assertEqual(softmax['floor_by'], 'bytes')
        self.assertAlmostEqual(softmax['floor_seconds'], (1 << 28) / 3e12)
        self.assertEqual(set(softmax['peers']), {'torch', 'cudnn'})
        self.assertIn('number 2 of result 0', found['softmax backward']['failures']['cudnn'])
        self.assertEqual(set(found['gelu forward']['peers']), {'torch'})
        self.assertEqual(set(found['mlp middle 64 x 512 x 512 forward']['peers']), {'torch'})
        fused = found['mlp middle 64 x 512 x 512 relu forward']['peers']
        self.assertEqual(set(fused), {'torch', 'cublaslt'})
        self.assertEqual(set(found['mlp 784-512-512-10']['peers']),
                         {'torch', 'torch.compile', 'torch.graph'})
        self.assertNotIn('build 10 layers', found)  # on the host alone
        self.assertNotIn('place unet', found)
        self.assertEqual(report['versions']['cublaslt'], 'cublaslt_layers 1.2')
        self.assertEqual(report['absent'], {'onednn': 'it runs on the CPU'})

    def test_the_table_and_the_verdicts_are_printed(self):
        for line in ('ceilings: fma 50000.0 GFLOP/s on the device, bf16 products 600000 GFLOP/s, '
                     'memory 3000.0 to 9000.0 GB/s', 'peer onednn is absent: it runs on the CPU',
                     'cublaslt         500.000 us', 'cudnn: number 2 of result 0 is 3.0 here'):
            self.assertIn(line, self.said)
        missed = 'target missed: mlp 784-512-512-10: 0 % of the floor by bytes'
        self.assertIn(missed, self.said)
        self.assertRegex(self.said, r'\n\d+ of \d+ targets met\n$')
        self.assertNotIn('gemm', self.report)

    def test_runs_add_up_to_one_file(self):
        with tempfile.TemporaryDirectory() as folder:
            stand_ins(pathlib.Path(folder))
            words = ('--device', 'cuda:0', '--commit', 'a')
            run_suite(folder, *words, '--cases', '^(softmax|gelu) forward', '--note', 'first')
            _, report = run_suite(folder, *words, '--append', '--cases', '^gelu')
            self.assertEqual([result['case'] for result in report['results']],
                             ['softmax forward', 'gelu forward', 'gelu backward'])
            self.assertEqual((report['note'], report['commit']), ('first', 'a'))
            said, report = run_suite(folder, *words, '--missing', '--cases', '^(softmax|gelu) ')
            self.assertEqual(len(report['results']), 4)
            self.assertEqual(said.count('  after '), 1)
            with self.assertRaisesRegex(SystemExit, 'another run: commit is a there and b here'):
                run_suite(folder, *words[:-1], 'b', '--append', '--cases', '^gelu')

    def test_a_case_that_fails_leaves_the_others(self):
        with tempfile.TemporaryDirectory() as folder:
            stand_ins(pathlib.Path(folder))
            program = pathlib.Path(folder) / 'tests' / 'op_bench'
            head = 'def ready(words):\n'
            program.write_text(program.read_text().replace(
                head, f"{head}    assert 'name=gelu' not in words, 'planted'\n"))
            said = '1 of 2 cases failed:\ngelu forward: .*planted'
            with self.assertRaisesRegex(SystemExit, said):
                run_suite(folder, '--device', 'cuda:0', '--cases', '^(gelu|softmax) forward')
            report = json.loads((pathlib.Path(folder) / 'results.json').read_text())
            self.assertEqual([result['case'] for result in report['results']], ['softmax forward'])

    def test_a_peer_that_fails_is_named_and_leaves_the_case(self):
        with tempfile.TemporaryDirectory() as folder:
            stand_ins(pathlib.Path(folder))
            for name, where in (('cudnn_ops', 'def main():'), ('cublaslt_layers', 'seconds * int')):
                program = pathlib.Path(folder) / 'tests' / name
                planted = program.read_text().replace(where, {
                    'def main():': "def main():\n    sys.exit('no libcudnn.so.9')",
                    'seconds * int': 'seconds * planted * int'}[where])
                program.write_text(planted)
            _, report = run_suite(folder, '--device', 'cuda:0', '--cases', 'middle .*wgrad')
        self.assertEqual(report['absent']['cudnn'], 'it does not start: no libcudnn.so.9')
        self.assertIn("'planted' is not defined", report['results'][0]['failures']['cublaslt'])

    def test_absent_peers_are_named_with_the_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            stand_ins(pathlib.Path(folder))
            for name in ('cublaslt_layers', 'cudnn_ops'):
                (pathlib.Path(folder) / 'tests' / name).unlink()
            said, report = run_suite(folder, '--device', 'cuda:0', '--cases', 'ragged .*wgrad')
        reason = 'was not found when the build was configured'
        self.assertEqual(report['absent'], {
            'torch': '--python or FORNAX_BENCH_PYTHON names no Python',
            'torch.compile': '--python or FORNAX_BENCH_PYTHON names no Python',
            'torch.graph': '--python or FORNAX_BENCH_PYTHON names no Python',
            'onednn': 'it runs on the CPU', 'cublaslt': f'cublasLt {reason}',
            'cudnn': f'cuDNN {reason}'})
        self.assertIn(f'peer cudnn is absent: cuDNN {reason}', said)

    def test_data_is_in_memory_where_there_is_room(self):
        self.assertEqual(bench.folder_in_memory(self.folder), self.folder)
        self.assertIsNone(bench.folder_in_memory(self.folder / 'absent'))
        little = mock.Mock(free=64 << 20)
        with mock.patch.object(bench.shutil, 'disk_usage', lambda path: little):
            self.assertIsNone(bench.folder_in_memory(self.folder))

    def test_a_process_that_hangs_is_ended(self):
        server = servers.Server([sys.executable, '-c', 'import time; time.sleep(100)'], 1)
        self.addCleanup(server.close)
        server.longest_answer = 0.1
        with self.assertRaisesRegex(servers.Failure, 'ended early, status -9'):
            server.ask('1')

    def test_a_gpu_is_no_peer_of_the_cpu(self):
        options = mock.Mock(device='cpu', peers='cublaslt,cudnn', python='', quick=True)
        absent = bench.Bench(options, self.folder, None).absent
        self.assertEqual(absent, {'cublaslt': 'it runs on a GPU', 'cudnn': 'it runs on a GPU'})

    def test_the_report_has_a_section_of_the_gpu(self):
        report, docs = program('report'), self.folder / 'docs'
        (self.folder / 'results').mkdir()
        docs.mkdir()
        shutil.copy(self.folder / 'results.json', self.folder / 'results' / 'card.json')
        with mock.patch.multiple(report, HERE=self.folder, PAGE=docs / 'performance.md',
                                 PICTURES=docs / 'pictures'), \
                mock.patch.object(sys, 'argv', ['report']):
            report.main()
        text = (docs / 'performance.md').read_text()
        for line in ('## a card', '- device cuda:0, instruction set sm_90; host',
                     '- cudnn cudnn_ops 1.2',
                     '- fma 50000.0 GFLOP/s on the device, bf16 products 600000 GFLOP/s',
                     '- onednn was absent: it runs on the CPU',
                     '| cublaslt | 500.000 us | 0.0 % | 0.50 |'):
            self.assertIn(line, text)
        for group in ('steps', 'ops', 'layers'):
            self.assertIn('<svg', (docs / 'pictures' / f'card_{group}.svg').read_text())


if __name__ == '__main__':
    unittest.main()
