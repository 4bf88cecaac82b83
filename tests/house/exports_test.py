# exports_test.py LIBRARY: every symbol that libfornax exports is declared in a public header.
import re
import subprocess
import sys

import tree
from cpp_text import without_comments

_TABLE = re.compile(r'^(?:vtable|VTT|typeinfo|typeinfo name|guard variable) for ')


def exported(library):
    """Demangled names of the defined dynamic symbols."""
    run = subprocess.run(['nm', '-DC', '--defined-only', library], text=True, capture_output=True,
                         check=True)
    return [line.split(' ', 2)[2] for line in run.stdout.splitlines()]


def qualified_name(symbol):
    """['fornax', 'Graph', 'input'] of a demangled symbol: no arguments, no template arguments."""
    name = _TABLE.sub('', symbol)
    name = re.sub(r'\[abi:\w+\]|\(anonymous namespace\)::', '', name)
    name = re.sub(r'operator(?:\(\)|<=>|<<|>>|->\*?|[<>]=?|\s[\w:]+)', 'operator_', name)
    while re.search(r'<[^<>]*>', name):
        name = re.sub(r'<[^<>]*>', '', name)
    name = name.split('(')[0].split(' ')[-1]
    return [part.lstrip('~') for part in name.split('::')]


def undeclared(symbols, headers):
    """The symbols that no header declares: a header must name every part of the qualified name."""
    words = [set(re.findall(r'\w+', without_comments(text))) for text in headers]
    out = []
    for symbol in symbols:
        parts = [re.sub(r'^operator.*', 'operator', part) for part in qualified_name(symbol)]
        if parts[0] != 'fornax' or not any(all(part in w for part in parts) for w in words):
            out.append(symbol)
    return out


def problems_with_planted(headers):
    lines = (tree.ROOT / 'tests/house/planted/exported_symbols.txt').read_text().splitlines()
    found = undeclared([line.removesuffix('  # FAULT') for line in lines if line], headers)
    marked = [line.removesuffix('  # FAULT') for line in lines if line.endswith('  # FAULT')]
    return [] if found == marked else [f'planted: found {found}, marked {marked}']


def main():
    headers = [tree.text(path) for path in tree.public_headers()]
    symbols = exported(sys.argv[1])
    problems = problems_with_planted(headers)
    for name in undeclared(symbols, headers):
        problems.append(f'exported, but in no public header: {name}')
    if len(symbols) < 20:
        problems.append(f'only {len(symbols)} symbols are exported')
    print('\n'.join(problems) or f'{len(symbols)} exported symbols are declared')
    return 1 if problems else 0


sys.exit(main())
