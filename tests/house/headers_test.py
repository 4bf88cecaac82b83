# headers_test.py COMPILER: every public header compiles alone, without warnings, in include/ only,
# and fornax.h includes them all.
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import tree

FLAGS = ['-std=c++20', '-fsyntax-only', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Werror',
         '-x', 'c++']


def complaint(compiler, folder, header):
    """What the compiler says of a file that includes `header` alone; empty when it is content."""
    command = [compiler, *FLAGS, '-I', str(folder), '-']
    run = subprocess.run(command, input=f'#include <{header}>\n#include <{header}>\n', text=True,
                         capture_output=True, check=False)
    return '' if run.returncode == 0 else run.stderr or f'{header}: exit status {run.returncode}'


def planted_fault_is_found(compiler):
    with tempfile.TemporaryDirectory() as folder:
        planted = tree.ROOT / 'tests/house/planted/headers_alone.h'
        (pathlib.Path(folder) / 'planted.h').write_text(planted.read_text())
        return bool(complaint(compiler, folder, 'planted.h'))


def main():
    compiler = sys.argv[1]
    headers = [path.removeprefix('include/') for path in tree.public_headers()]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda header: complaint(compiler, tree.ROOT / 'include', header),
                             headers))
    problems = [text for text in said if text]
    if not planted_fault_is_found(compiler):
        problems.append('the planted fault is not found: planted/headers_alone.h')
    everything = tree.text('include/fornax/fornax.h')
    for header in headers:
        if header != 'fornax/fornax.h' and f'#include <{header}>\n' not in everything:
            problems.append(f'fornax/fornax.h does not include <{header}>')
    if len(headers) < 10:
        problems.append(f'only {len(headers)} headers seen')
    print('\n'.join(problems) or f'{len(headers)} headers compile alone')
    return 1 if problems else 0


sys.exit(main())
