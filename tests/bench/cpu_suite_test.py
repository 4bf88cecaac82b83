#!/usr/bin/env -S python3 -B
# tests/bench/run --device cpu, with programs that stand in for those of the build: floors that take
# turns, and ops in the caches.
import pathlib
import tempfile
import unittest

import stand_in
from gpu_suite_test import folder_of, run_suite, stand_ins

WORDS = ('--device', 'cpu', '--threads', '2', '--peers', '', '--cases', '^(softmax|gelu) forward')


class Cpu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.said, cls.report = run_suite(folder_of(cls), *WORDS)
        cls.found = {result['case']: result for result in cls.report['results']}

    def test_a_floor_is_measured(self):
        softmax = self.found['softmax forward']
        self.assertEqual(softmax['floor_by'], 'bytes')
        self.assertAlmostEqual(softmax['floor_seconds'], stand_in.CEILING_SECONDS)
        self.assertEqual([softmax[key] for key in ('bytes', 'read_bytes', 'write_bytes')],
                         [1 << 28, stand_in.READ_BYTES, stand_in.WRITE_BYTES])

    def test_a_floor_that_writes_less_than_it_says_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            stand_ins(pathlib.Path(folder))
            program = pathlib.Path(folder) / 'tests' / 'steps_bench'
            text = program.read_text()
            planted = text.replace("float(given['written'])", "float(given['written']) - 4")
            self.assertNotEqual(planted, text)
            program.write_text(planted)
            with self.assertRaisesRegex(SystemExit, 'forward: the floor reads and writes'):
                run_suite(folder, *WORDS)

    def test_time_in_caches_is_that_of_all_elements_on_all_threads(self):
        softmax = self.found['softmax forward']
        self.assertAlmostEqual(softmax['cached_seconds'],
                               stand_in.CACHED_SECONDS / stand_in.CACHED_FRACTION / 2)
        self.assertNotIn('cached_seconds', self.found['gelu forward'])

    def test_the_table_and_the_verdicts_are_printed(self):
        for line in ('ceilings: fma 100.0 GFLOP/s on 1 thread, 200.0 GFLOP/s on 2 threads, memory '
                     '30.0 to 90.0 GB/s, read alone 20.0 to 80.0 GB/s, written alone 10.0 to 70.0',
                     'in cache', '500.000 us   50.0 %   900.000 us',
                     'target missed: softmax forward: 50 % of the floor by bytes (best 50 %), '
                     'target 85 % (the same work in the caches takes 90 % of its time)'):
            self.assertIn(line, self.said)


if __name__ == '__main__':
    unittest.main()
