# cuda_option_test.py CMAKE BUILD COMPILER: without a toolkit FORNAX_CUDA=ON fails and says what to
# do, and AUTO goes on without.
import os
import pathlib
import subprocess
import sys
import tempfile

import tree


def configure(cmake, compiler, option):
    with tempfile.TemporaryDirectory() as folder:
        command = [cmake, '-S', tree.ROOT, '-B', pathlib.Path(folder), '-G', 'Ninja',
                   f'-DCMAKE_CXX_COMPILER={compiler}', f'-DFORNAX_CUDA={option}',
                   '-DFORNAX_BUILD_TESTS=OFF']
        absent = dict(os.environ, CUDACXX='/nonexistent/nvcc')
        run = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                             check=False, env=absent)
        return run.returncode, run.stdout + run.stderr


def main():
    cmake, _, compiler = sys.argv[1:4]
    problems = []
    status, text = configure(cmake, compiler, 'ON')
    if status == 0 or 'FORNAX_CUDA=ON, but no CUDA toolkit was found' not in text:
        problems.append(f'ON without a toolkit: exit status {status}\n{text}')
    status, text = configure(cmake, compiler, 'AUTO')
    if status != 0 or 'off (no toolkit found' not in text:
        problems.append(f'AUTO without a toolkit: exit status {status}\n{text}')
    status, text = configure(cmake, compiler, 'MAYBE')
    if status == 0 or "got 'MAYBE'" not in text:
        problems.append(f'MAYBE: exit status {status}\n{text}')
    print('\n'.join(problems) or 'ON fails, AUTO goes on, anything else is refused')
    return 1 if problems else 0


sys.exit(main())
