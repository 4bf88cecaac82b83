#!/usr/bin/env -S python3 -B
# The suite's own checks: wrong numbers, slowdowns and missed targets are found; pictures are XML.
import importlib.machinery
import importlib.util
import os
import pathlib
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

import cases
import ceilings
import machine
import pictures
from servers import Failure, check_equal, reason_of

HERE = pathlib.Path(__file__).resolve().parent


def program(name):
    """A program without an ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def result(seconds, ratio, group='steps', **more):
    peers = {'torch': {'seconds': seconds * ratio, 'spread': 0.01, 'ratio': ratio,
                       'best_ratio': ratio, 'target': 1.5, 'peak_bytes': 100}}
    return {'case': 'case', 'group': group, 'seconds': seconds, 'spread': 0.01, 'plan': {},
            'samples': [seconds], 'peak_bytes': 50, 'peers': peers, **more}


class Suite(unittest.TestCase):
    def test_unequal_work_is_refused(self):
        check_equal([[1.0, 2.0], [3e-9]], [[1.00005, 2.0], [3e-9]])
        check_equal([[600.0, 4.2370]], [[600.0, 4.2381]])
        with self.assertRaises(Failure):
            check_equal([[600.0, 4.2370]], [[600.0, 4.2450]])
        for theirs in ([[1.001, 2.0], [3e-9]], [[1.0, 2.0], [3.1e-9]], [[1.0], [3e-9]],
                       [[1.0, float('nan')], [3e-9]]):
            with self.assertRaises(Failure):
                check_equal([[1.0, 2.0], [3e-9]], theirs)

    def test_compare_names_what_lost_more_than_the_spread(self):
        compare = program('compare').compare
        old = {'results': [result(1.0, 2.0)]}
        self.assertEqual(list(compare(old, {'results': [result(1.3, 1.98)]})), [])
        slower, = compare(old, {'results': [result(1.3, 1.5)]})
        self.assertIn('1.333 times slower by ratio to torch', slower)
        missing, = compare(old, {'results': []})
        self.assertIn('not measured any more', missing)
        placed = [result(1.0, 2.0, 'placement', plan={'arena_bytes': size}) for size in (10, 11)]
        grown, = compare({'results': placed[:1]}, {'results': placed[1:]})
        self.assertIn('the arena grew from 10 to 11', grown)

    def test_targets_are_met_or_missed(self):
        limits = {'least_share': 0.8, 'most_memory': 0.6, 'most_seconds': 2.0}
        floor = {'floor_seconds': 0.7, 'floor_share': 0.7, 'floor_by': 'fma',
                 'best_share': 0.75}
        met = [verdict for _, verdict in
               machine.targets(result(1.0, 2.0, limits=limits, **floor))]
        self.assertEqual(met, [True, False, True, True])
        for share, best, is_met in ((0.9, 0.75, False), (0.75, 0.9, False), (0.8, 0.8, True)):
            floor.update(floor_share=share, best_share=best)
            alone = {**result(1.0, 2.0, limits={'least_share': 0.8}, **floor), 'peers': {}}
            (_, verdict), = machine.targets(alone)
            self.assertEqual(verdict, is_met)
        floor.update(floor_share=0.7, best_share=0.75)
        self.assertIn('target missed: case: 70 % of the floor',
                      machine.verdicts([result(1.0, 2.0, limits=limits, **floor)]))

    def test_a_floor_is_what_takes_longest(self):
        measured = ceilings.Ceilings.__new__(ceilings.Ceilings)
        measured._key = '2'
        measured.values = {'fma_gflops': {'1': 50, '2': 100},
                           'traffic_gbytes': {str(1 << 20): 100, str(1 << 28): 20}}
        self.assertEqual(list(measured.floors(cases.Work(1e9, 5e8, 5e8))), ['bytes'])
        self.assertEqual(list(measured.floors(cases.Work(1e9, 5e5, 5e5))), ['fma'])
        self.assertEqual(measured.floors(cases.Work(1e9, 1e8, 1e8)), {'fma': 0.01, 'bytes': 0.01})
        self.assertEqual(measured.floors(cases.Work()), {})
        # Of 8 MB that may come from a cache or not, by the rates 0.08 and 0.4 ms.
        between = measured.floors(cases.Work(2e7, 4e6, 4e6))
        self.assertEqual(list(between), ['fma', 'bytes'])
        self.assertAlmostEqual(between['bytes'], 8e-5)
        # An operation takes as long as a fma, which is two FLOPs.
        self.assertEqual(measured.floors(cases.Work(1e9, 1e8, 1e8, operations=8e8)),
                         {'operations': 0.016, 'bytes': 0.01, ceilings.BESIDE: 0.016})
        in_place = cases.Work(1e9, 1e8, 1e8, in_place=True, operations=8e8)
        self.assertEqual(list(measured.floors(in_place)), ['operations', 'bytes'])
        self.assertEqual(list(measured.floors(cases.Work(1e9, 5e5, 5e5, operations=5e8))), ['fma'])
        rounded = cases.Work(1.23456789e12, 0.0, 0.0, operations=6.17283946e11)
        self.assertEqual(list(measured.floors(rounded)), ['fma'])
        self.assertAlmostEqual(measured.seconds('bytes', cases.Work(0.0, 9e5, 1e5)), 1e-5)
        found = result(2.0, 1.0)
        ceilings.add_floor(found, {'bytes': [0.9, 1.7, 1.9], 'fma': [1.0, 1.6, 1.5]})
        self.assertEqual([found[key] for key in ('floor_by', 'floor_seconds', 'floor_share',
                                               'best_share')],
                         ['fma', 1.5, 0.75, 0.5])

    def test_what_is_only_read_or_written_is_bound_by_its_own_rate(self):
        measured = ceilings.Ceilings.__new__(ceilings.Ceilings)
        measured.values = {kind: {str(1 << 20): 100, str(1 << 28): rate} for kind, rate in
                           (('traffic_gbytes', 30), ('read_gbytes', 20), ('write_gbytes', 10))}
        for read, written, seconds in ((3e8, 3e8, 0.02), (3e8, 0.0, 0.015), (0.0, 3e8, 0.03),
                                       (5e8, 3e8, 0.03), (3e8, 5e8, 0.04)):
            work = cases.Work(0.0, read, written)
            self.assertAlmostEqual(measured.seconds('bytes', work), seconds)

    def test_bytes_of_steps_and_layers_are_read_or_written(self):
        step = cases.network_work(cases.network([2, 3, 5], 7, optimizer='adamw'))
        parameters = 2 * 3 + 3 * 5 + 3 + 5
        self.assertEqual(step.written, 4 * (3 * parameters + 7 * 3))
        self.assertEqual(step.read, step.written + 4 * 7 * 2)
        x, w, y = 2 * 3, 5 * 3, 2 * 5
        for part, read, written in (('forward', x + w, y), ('dgrad', y + w + x, x),
                                    ('wgrad', y + x, w)):
            layer = cases.layer_work({'rows': 2, 'inputs': 3, 'outputs': 5, 'part': part})
            self.assertEqual(layer, (60.0, 4.0 * read, 4.0 * written, False, 0.0, 0.0))
            self.assertEqual(layer.bytes, 4.0 * (read + written))

    def test_only_what_a_case_writes_in_place_may_be_updated(self):
        plan = {'flops': 1, 'read_bytes': 8, 'write_bytes': 8}
        for name in ('adamw', 'sgd', 'weight_update', 'relu', 'add'):
            case = cases.Case(name, 'ops', 'op', {'name': name, 'part': 'forward'})
            self.assertEqual(case.work(plan).in_place, name in ('adamw', 'sgd', 'weight_update'))
        self.assertTrue(cases.network_work(cases.MLP).in_place)

    def test_a_miss_by_bytes_says_when_the_caches_would_not_help(self):
        floor = {'floor_seconds': 0.5, 'floor_share': 0.5, 'best_share': 0.5,
                 'limits': {'least_share': 0.8}}
        why = 'the same work in the caches takes 90 % of its time'
        for by, cached, said in (('bytes', 0.9, True), ('bytes', 0.4, False), ('fma', 0.9, False),
                                 ('operations', 0.9, False)):
            group = 'layers' if by == 'fma' else 'ops'
            missed = machine.verdicts([result(1.0, 2.0, group, floor_by=by, cached_seconds=cached,
                                              **floor)])
            self.assertIn(f'50 % of the floor by {by} (best 50 %), target 80 %', missed)
            self.assertEqual(why in missed, said)
        met = {**floor, 'floor_share': 0.9, 'best_share': 0.9}
        self.assertNotIn(why, machine.verdicts([result(1.0, 2.0, 'ops', floor_by='bytes',
                                                       cached_seconds=0.9, **met)]))

    def test_a_near_miss_does_not_look_like_the_target(self):
        near = {'floor_seconds': 0.7999, 'floor_share': 0.7999, 'best_share': 0.7999,
                'floor_by': 'bytes', 'limits': {'least_share': 0.8}}
        missed = machine.verdicts([result(1.0, 1.4999, 'ops', **near)])
        self.assertIn('79 % of the floor by bytes (best 79 %), target 80 %', missed)
        self.assertIn('1.49 times torch (best 1.49), target 1.5', missed)

    def test_the_report_reads_files_with_and_without_times_in_caches(self):
        table = program('report').table
        new, old = table([result(1.0, 2.0, cached_seconds=0.5)]), table([result(1.0, 2.0)])
        self.assertIn('| of floor | in cache | memory |', new[0])
        self.assertIn('|  | 500.000 ms | 0.0 MiB |', new[2])
        self.assertNotIn('in cache', old[0])
        for lines in (new, old):
            self.assertEqual(len({line.count('|') for line in lines if line}), 1)

    def test_a_failure_is_named_by_the_line_that_says_it(self):
        below = 'Traceback:\n  a\ntorch.AcceleratorError: CUDA error: planted\nCompile with that.\n'
        self.assertEqual(reason_of(below), 'torch.AcceleratorError: CUDA error: planted')
        self.assertEqual(reason_of('warning\nop_bench: cuda: planted\n'), 'op_bench: cuda: planted')

    def test_a_tree_without_git_is_described(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / 'CMakeCache.txt').write_text(f'CMAKE_CXX_COMPILER:FILEPATH={root}/none\n')
            (root / 'tests').mkdir()
            (root / 'tests' / 'op_bench').write_bytes(b'..\0GCC: (made) 12.2\0..')
            for path in (os.environ['PATH'], folder):
                with mock.patch.dict(os.environ, {'PATH': path, 'GIT_CEILING_DIRECTORIES': folder}):
                    unknown, named = (
                        machine.describe(root, root, mock.Mock(commit=name, no_build=bool(name)))
                        for name in ('', 'abc'))
                found = [(its['commit'], its['commit_is_clean']) for its in (unknown, named)]
                self.assertEqual(found, [('unknown', False), ('abc', True)])
                self.assertEqual(unknown['compiler'], 'unknown')
                self.assertEqual(named['compiler'], 'GCC: (made) 12.2')

    def test_names_are_unique(self):
        names = [case.name for case in cases.all_cases([('add', True), ('sgd', False)], 6)]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn('growth: threads 6', names)
        self.assertIn('add backward', names)
        self.assertNotIn('sgd backward', names)

    def test_what_no_cuda_kernel_computes_is_not_run_on_a_gpu(self):
        for threads in (0, 2):
            names = [case.name for case in cases.all_cases([('weight_update', False)], threads)]
            self.assertEqual('weight_update forward' in names, threads > 0)

    def test_pictures_are_xml(self):
        series = {'fornax': [(1, 1e-6), (64, 3e-3)], 'torch': [(1, 1e-4), (64, 2e-3)]}
        for svg in (pictures.ratio_bars('a < b', [('case', [('torch', 0.5), ('onednn', 3.0)])]),
                    pictures.growth('growth', {'batch': series})):
            self.assertEqual(ElementTree.fromstring(svg).tag[-3:], 'svg')

    def test_long_labels_have_room(self):
        label = 'gpt2 down 1024 x 3072 x 768 gelu_tanh forward'
        picture = ElementTree.fromstring(pictures.ratio_bars('a', [(label, [('torch', 2.0)])]))
        text, = (text for text in picture.iter() if text.text == label)
        self.assertGreater(float(text.get('x')), pictures.LABEL_WIDTH * len(label))


if __name__ == '__main__':
    unittest.main()
