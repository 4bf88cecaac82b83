# packages_test.py: cmake/prepare.sh installs what is missing and nothing else, and says what to
# install where it cannot. apt-get and dpkg-query are stand-ins that write down how they are called.
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import tree

DPKG = '''#!/bin/sh
for last; do :; done
case " $ABSENT " in *" $last "*) exit 1 ;; esac
echo installed
'''
APT = '''#!/bin/sh
echo "$@" >> "$LOG"
exit ${APT_STATUS:-0}
'''
TOOLS = ('bash', 'sh', 'awk', 'grep', 'mktemp', 'tail', 'rm', 'env', 'cat', 'dirname')


def packages(*groups):
    rows = [line.split() for line in tree.text('cmake/packages').splitlines() if line[:1] != '#']
    return [name for group, name in rows if group in groups]


def call(folder, groups, absent=(), apt=True, status=0):
    """Exit status and output of prepare_packages, and the calls of apt-get."""
    bin_folder, log = folder / 'bin', folder / 'log'
    bin_folder.mkdir()
    for tool in TOOLS:
        (bin_folder / tool).symlink_to(f'/usr/bin/{tool}')
    for name, text in (('dpkg-query', DPKG), ('apt-get', APT), ('sudo', '#!/bin/sh\n"$@"\n')):
        if apt:
            (bin_folder / name).write_text(text)
            (bin_folder / name).chmod(stat.S_IRWXU)
    environment = {'PATH': str(bin_folder), 'ABSENT': ' '.join(absent), 'LOG': str(log),
                   'APT_STATUS': str(status), 'TMPDIR': str(folder), 'HOME': os.environ['HOME']}
    script = 'set -euo pipefail; root=$1; source "$root/cmake/prepare.sh"; shift; ' \
             'prepare_packages "$@"'
    run = subprocess.run(['/bin/bash', '-c', script, 'bash', str(tree.ROOT), *groups], text=True,
                         capture_output=True, check=False, env=environment)
    return run.returncode, run.stdout + run.stderr, log.read_text() if log.exists() else ''


def expect(problems, condition, what, result):
    if not condition:
        problems.append(f'{what}: {result}')


def main():
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        def attempt(name, *groups, **options):
            folder = pathlib.Path(scratch) / name
            folder.mkdir()
            return call(folder, groups, **options)

        found = attempt('complete', 'library', 'tests')
        expect(problems, found == (0, '', ''), 'nothing is missing: silence and no apt-get', found)
        found = attempt('missing', 'library', 'tests', absent=['ninja-build', 'libgtest-dev'])
        wanted = '--no-install-recommends ninja-build libgtest-dev\n'
        expect(problems, found[0] == 0 and found[2].endswith(wanted), 'two are missing', found)
        found = attempt('group', 'library', absent=packages('tests'))
        expect(problems, found == (0, '', ''), 'samples need nothing of the tests', found)
        found = attempt('failing', 'library', absent=['ninja-build'], status=100)
        told = 'could not install: ninja-build' in found[1]
        expect(problems, found[0] and told, 'apt-get fails', found)
        found = attempt('foreign', 'library', apt=False)
        told = all(name in found[1] for name in packages('library'))
        expect(problems, found[0] and told, 'without apt the list is told', found)
    print('\n'.join(problems) or 'installs what is missing')
    return 1 if problems else 0


sys.exit(main())
