#!/usr/bin/env -S python3 -B
# Every op has a benchmark, and every benchmark has PyTorch's form.   coverage_test.py OP_BENCH
import pathlib
import re
import subprocess
import sys

FORMS = pathlib.Path(__file__).with_name('peers') / 'torch_ops.py'


def names_without_form(names, text):
    return [name for name in names if not re.search(rf"'{name}'", text)]


def main():
    binary = sys.argv[1]
    covered = subprocess.run([binary, '--coverage'], capture_output=True, text=True, check=False)
    listed = subprocess.run([binary, '--list'], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.strip().split('\n')]
    text = FORMS.read_text()
    wrong = [covered.stdout.strip()] if covered.returncode != 0 else []
    wrong += [f'benchmark {name} has no form in {FORMS.name}'
              for name in names_without_form(names, text)]
    # Planted: an op whose only benchmark is left out, and a benchmark without a form.
    planted = subprocess.run([binary, '--coverage', 'embedding'], capture_output=True, text=True,
                             check=False)
    if planted.returncode != 1 or 'op embedding has no benchmark' not in planted.stdout:
        wrong.append('a benchmark that is left out is not missed')
    if names_without_form(['no_such_form'], text) != ['no_such_form']:
        wrong.append('a missing form is not missed')
    print('\n'.join(wrong) or covered.stdout.strip())
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
