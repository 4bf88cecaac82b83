# target_calls_test.py OBJECTS...: code that is compiled per instruction set calls no function of
# fornax that is not, as objdump says. A compiler does not inline those, so that loops which took
# their places from one were up to five times as slow on AVX2.
import re
import subprocess
import sys

import tree

# Once an array, not in its loop.
KNOWN = ('fornax::host::begins_line(void const*)', 'fornax::host::lines_of_stream(long)')
TARGET = re.compile(r'::N_[A-Z]+\w*::')


def calls(text):
    """Of code of targets: the functions of fornax that it calls, and how many functions it is."""
    called, functions, inside = [], 0, False
    for line in text.splitlines():
        if begin := re.match(r'[0-9a-f]+ <(.*)>:$', line):
            inside = bool(TARGET.search(begin.group(1)))
            functions += inside
        elif inside and (call := re.search(r'R_X86_64_PLT32\s+(fornax::.*?)(?:-0x4)?$', line)):
            if not TARGET.search(call.group(1)) and call.group(1) not in KNOWN:
                called.append(call.group(1))
    return called, functions


def main():
    run = subprocess.run(['objdump', '-dCr', '--no-show-raw-insn', *sys.argv[1:]], text=True,
                         capture_output=True, check=True)
    called, functions = calls(run.stdout)
    problems = [f'{called.count(name)} calls of {name}' for name in sorted(set(called))]
    if not calls((tree.ROOT / 'tests/house/planted/target_calls.txt').read_text())[0]:
        problems.append('the planted call is not found')
    if functions == 0:
        problems.append('no code of an instruction set is seen')
    print('\n'.join(problems) or f'{functions} functions call none of another target')
    return 1 if problems else 0


sys.exit(main())
