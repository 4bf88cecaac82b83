#!/usr/bin/env -S python3 -B
# Instructions of one graph build, one compile and one tiny step, counted by callgrind and held to
# tests/bench/instructions.json within 3 %: unlike times they do not depend on what else runs.
#
#   instructions_test.py STEPS_BENCH BUILD [--record]
# BUILD names compiler, version and build type, for counts differ between them; a build that the
# file lacks is skipped. --record writes the counts of this build. FORNAX_ISA=avx2 and one thread
# make the counts alike on every x86-64 processor that has AVX2.
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

SKIP = 77
TOLERANCE = 0.03
FILE = pathlib.Path(__file__).with_name('instructions.json')
TINY = ['widths=3,5,3', 'batch=1', 'activation=sigmoid', 'last_activation=1', 'loss=half_squares',
        'optimizer=sgd']
CASES = {'graph build': ('build', TINY, 20), 'compile': ('compile', TINY, 20),
         'step': ('network', TINY, 200)}


def process_instructions(binary, kind, words, steps):
    """Instructions of a whole process that serves `steps` steps."""
    command = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', binary, kind,
               *words, 'device=cpu:1']
    done = subprocess.run(command, input=f'{steps}\n', capture_output=True, text=True, check=False,
                          env={**os.environ, 'FORNAX_ISA': 'avx2', 'FORNAX_LOG': 'error'})
    found = re.search(r'Collected : (\d+)', done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f'{" ".join(command)}: status {done.returncode}\n{done.stderr[-2000:]}')
    return int(found[1])


def count(binary, kind, words, steps):
    """The difference of two processes leaves the steps alone."""
    more = process_instructions(binary, kind, words, 2 * steps)
    return (more - process_instructions(binary, kind, words, steps)) / steps


def main():
    binary, build = sys.argv[1:3]
    record = '--record' in sys.argv[3:]
    if not shutil.which('valgrind'):
        print('skipped: valgrind is not installed')
        return SKIP
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    if build not in known and not record:
        print(f'skipped: instructions.json has no counts of {build}; --record adds them')
        return SKIP
    counts = {name: round(count(binary, *case)) for name, case in CASES.items()}
    if record:
        known[build] = counts
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + '\n')
        return 0
    failed = False
    for name, now in counts.items():
        before = known[build][name]
        change = now / before - 1
        verdict = 'ok' if abs(change) <= TOLERANCE else 'FAILED'
        failed = failed or verdict != 'ok'
        print(f'{name}: {now} instructions, {before} recorded, {100 * change:+.1f} %: {verdict}')
    if failed:
        print('meant? then run this test with --record and commit instructions.json')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
