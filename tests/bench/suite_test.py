#!/usr/bin/env -S python3 -B
# The suite's own checks: wrong numbers, slowdowns and missed targets are found; pictures are XML.
import importlib.machinery
import importlib.util
import pathlib
import unittest
from xml.etree import ElementTree

import cases
import ceilings
import machine
import pictures
from servers import Failure, check_equal

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
        self.assertIn('target missed: case: 70 % of the floor',
                      machine.verdicts([result(1.0, 2.0, limits=limits, **floor)]))

    def test_a_floor_is_what_takes_longest(self):
        measured = ceilings.Ceilings.__new__(ceilings.Ceilings)
        measured._key = '2'
        measured.values = {'fma_gflops': {'1': 50, '2': 100},
                           'traffic_gbytes': {str(1 << 20): 100, str(1 << 28): 20}}
        self.assertEqual(measured.floor(1e9, 1e9), ('bytes', 1e9))
        self.assertEqual(measured.floor(1e9, 1e6), ('fma', 1e9))
        self.assertEqual(measured.floor(0.0, 0.0)[1], 0.0)
        self.assertAlmostEqual(measured.seconds('bytes', 1e6), 1e-5)
        found = result(2.0, 1.0)
        ceilings.add_floor(found, 'fma', [1.0, 1.6, 1.5])
        self.assertEqual([found['floor_seconds'], found['floor_share'], found['best_share']],
                         [1.5, 0.75, 0.5])

    def test_names_are_unique(self):
        names = [case.name for case in cases.all_cases([('add', True), ('sgd', False)], 6)]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn('growth: threads 6', names)
        self.assertIn('add backward', names)
        self.assertNotIn('sgd backward', names)

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
