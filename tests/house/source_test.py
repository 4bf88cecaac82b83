# source_test.py RULE: the planted faults of a rule are found, line by line; the tree has none.
import re
import sys

import tree
from rules import RULES

PLANTED = tree.ROOT / 'tests/house/planted'


def planted_faults(rule):
    """Problems in how `rule` judges its planted files: exactly the lines marked FAULT are wrong."""
    files = sorted(PLANTED.glob(f'{rule.__name__}*'))
    problems = [] if files else [f'no file planted/{rule.__name__}*']
    for file in files:
        lines = file.read_text(encoding='utf-8').split('\n')
        match = re.match(r'.*planted as (\S+?)(?:, repeated (\d+) times)?\.?$', lines[0])
        text = '\n'.join(lines[1:]) * int(match.group(2) or 1)
        found = {line for line, _ in rule(match.group(1), text)}
        marked = {number for number, line in enumerate(text.split('\n'), 1) if 'FAULT' in line}
        if not found:
            problems.append(f'{file.name}: the planted fault is not found')
        if marked and found != marked:
            problems.append(f'{file.name}: lines {sorted(found)} found, {sorted(marked)} marked')
    return problems


def main():
    rule = RULES[sys.argv[1]]
    problems = planted_faults(rule)
    seen = 0
    for path in tree.paths():
        if path.endswith(tree.CODE) or path.endswith('/run') or path.endswith('CMakeLists.txt'):
            seen += 1
            for line, message in rule(path, tree.text(path)):
                problems.append(f'{path}:{line}: {message}')
    if seen < 20:
        problems.append(f'only {seen} files seen')
    print('\n'.join(problems) or f'{seen} files keep the rule {rule.__name__}')
    return 1 if problems else 0


sys.exit(main())
