#!/usr/bin/env -S python3 -B
# Every op has a benchmark, and every benchmark has PyTorch's form, and one that stays in caches but
# for those of which that is no use.   coverage_test.py OP_BENCH
import json
import pathlib
import re
import subprocess
import sys

CACHED_BYTES = 256 << 10
# A table, weights that are no rows, and rows that are too wide.
NOT_CACHED = {'embedding forward', 'embedding backward', 'linear forward', 'linear backward',
              'cross_entropy_tokens backward', 'weight_update forward'}
FORMS = pathlib.Path(__file__).with_name('peers') / 'torch_ops.py'


def names_without_form(names, text):
    return [name for name in names if not re.search(rf"'{name}'", text)]


def wrong_cached(lines, without):
    """`lines`: NAME PART FRACTION BYTES; those that should be as `without` says and are not."""
    found = {}
    for name, part, fraction, size in map(str.split, lines):
        found[f'{name} {part}'] = float(fraction), int(size)
    none = {case for case, (fraction, _) in found.items() if fraction == 0}
    for case in sorted(none ^ without):
        yield f'in caches: {case} should have {"a" if case in none else "no"} form'
    for case, (fraction, size) in found.items():
        if case not in none and not (fraction < 1 and CACHED_BYTES / 4 < size <= CACHED_BYTES):
            yield f'in caches: {case} has {size} bytes, a part of {fraction:g}'


def wrong_run(binary):
    """A step in caches moves the part of the bytes that it says."""
    words = ['op', 'name=add', 'part=forward', 'device=cpu:1']
    done = [subprocess.run([binary, *words, *more], input='1\n', capture_output=True, text=True,
                           check=True).stdout for more in ([], ['cached=1'])]
    whole, part = (json.loads(text.split('\n')[0]) for text in done)
    if part['moved_bytes'] != whole['moved_bytes'] * part['fraction'] or part['fraction'] >= 1:
        yield f'in caches: add moves {part["moved_bytes"]} of {whole["moved_bytes"]} bytes'
    if part['read_bytes'] != 2 * part['write_bytes']:
        yield f'add reads {part["read_bytes"]} bytes and writes {part["write_bytes"]}'


def main():
    binary = sys.argv[1]
    covered = subprocess.run([binary, '--coverage'], capture_output=True, text=True, check=False)
    listed = subprocess.run([binary, '--list'], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.strip().split('\n')]
    text = FORMS.read_text()
    wrong = [covered.stdout.strip()] if covered.returncode != 0 else []
    wrong += [f'benchmark {name} has no form in {FORMS.name}'
              for name in names_without_form(names, text)]
    listed = subprocess.run([binary, '--cached'], capture_output=True, text=True, check=True)
    wrong += wrong_cached(listed.stdout.strip().split('\n'), NOT_CACHED)
    wrong += wrong_run(binary)
    # Planted: an op whose only benchmark is left out, and a benchmark without a form.
    planted = subprocess.run([binary, '--coverage', 'embedding'], capture_output=True, text=True,
                             check=False)
    if planted.returncode != 1 or 'op embedding has no benchmark' not in planted.stdout:
        wrong.append('a benchmark that is left out is not missed')
    if names_without_form(['no_such_form'], text) != ['no_such_form']:
        wrong.append('a missing form is not missed')
    # Planted: a form that is too large, one that is as large as the whole, one that is missing.
    planted = ['a forward 0.1 300000', 'b forward 1 200000', 'c forward 0 0',
               'd forward 0.1 200000']
    if len(list(wrong_cached(planted, set()))) != 3:
        wrong.append('forms in caches that are wrong are not missed')
    print('\n'.join(wrong) or covered.stdout.strip())
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
