#!/usr/bin/env -S python3 -B
# Floors by bytes read and write what they say, and those that do not are refused.
#   floors_test.py STEPS_BENCH
import itertools
import json
import subprocess
import sys

import cases
import ceilings
from servers import Failure

WORD_BYTES = ceilings.WORD_BYTES
COUNTS = (0, 1, 1000, 90001)  # of words: none, one, no whole vectors, of several threads


def serve(binary, read, written, threads, **more):
    """The exit status, what one ready line and a step gave, and the error."""
    words = ['by=bytes', f'read={read}', f'written={written}', f'threads={threads}',
             *(f'{name}={value}' for name, value in more.items())]
    done = subprocess.run([binary, 'ceiling', *words], input='1\n', capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout.split('\n'), done.stderr


def wrong_floor(binary, read, written, threads, **more):
    """What is wrong with a floor; empty: nothing."""
    status, lines, error = serve(binary, read, written, threads, **more)
    if status != 0:
        return error
    try:
        ceilings.check_touched(cases.Work(0.0, read, written), json.loads(lines[0])['check'])
    except Failure as failure:
        return str(failure)
    return '' if float(lines[1]) > 0 else 'no time'


def planted(binary):
    """Words that are left out must be found in every part of the traffic."""
    for read, written, operations, said in (
            (4000, 4000, 0, 'copy: reads 993 of 1000 words and writes 993'),
            (4000, 0, 0, 'sum of one stream: reads 0 of 1000 words'),
            (0, 4000, 0, 'fill: reads 0 of 0 words and writes 993 of 1000'),
            (4000, 4000, 24000, 'copy beside operations: reads 993 of 1000 words and writes 993'),
            (4000, 0, 24000, 'sum of 4 streams beside operations: reads 0 of 1000 words')):
        status, _, error = serve(binary, read, written, 2, left_out=7, operations=operations)
        if status != 1 or said not in error:
            yield f'words left out of {read} and {written} bytes are not missed: {error!r}'
    for written, asked in ((0, 8000000), (8000000, 10000000)):
        status, _, error = serve(binary, 8000000, written, 2, operations=1e7, fma_left_out=1)
        if status != 1 or f' of {asked} fma' not in error:
            yield f'operations left out of {written} bytes are not missed: {error!r}'
    try:
        ceilings.check_touched(cases.Work(0.0, 4000, 400), [[4000.0], [396.0]])
        yield 'a floor that writes less than asked for is not refused'
    except Failure:
        pass


def main():
    binary = sys.argv[1]
    wrong = list(planted(binary))
    for read, written, threads, in_place in itertools.product(COUNTS, COUNTS, (1, 3), (0, 1)):
        # Bytes beyond a whole word are left out.
        found = wrong_floor(binary, WORD_BYTES * read + 1, WORD_BYTES * written + 3, threads,
                            in_place=in_place)
        if found:
            wrong.append(f'{read} and {written} words on {threads} threads: {found}')
        found = wrong_floor(binary, WORD_BYTES * read, WORD_BYTES * written, threads,
                            operations=23.0 * read, quotients=1.0 * read)
        if found:
            wrong.append(f'{read} and {written} words beside operations: {found}')
    print('\n'.join(wrong) or 'floors read and write what they say')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
