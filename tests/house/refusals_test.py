# Every message with which an op refuses its operands is expected by some test: of the text pieces
# of a require() or a thrown Error in kernels/, the longest must be found in a string of tests/.
import re
import sys

import tree

LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*')
CALL = re.compile(r'\b(?:require|throw Error)\(')
LONGEST = 12  # so much of a piece is enough
PLANTED = 'tests/house/planted/untested_refusal.cpp'


def literals(text):
    """The string literals of C++ text, adjacent ones joined, escapes taken away."""
    for match in LITERALS.finditer(text):
        pieces = re.findall(r'"((?:[^"\\\n]|\\.)*)"', match.group())
        yield ''.join(pieces).replace('\\', '')


def call_text(text, begin):
    """From `begin`, behind an opening parenthesis, to the one that closes it."""
    depth, at = 1, begin
    while depth and at < len(text):
        literal = LITERALS.match(text, at)
        if literal:
            at = literal.end()
            continue
        depth += {'(': 1, ')': -1}.get(text[at], 0)
        at += 1
    return text[begin:at]


def is_expected(piece, expected):
    width = min(len(piece), LONGEST)
    return any(piece[at:at + width] in text
               for at in range(len(piece) - width + 1) for text in expected)


def untested(path, text, expected):
    """Lines of refusals whose message no test expects."""
    for match in CALL.finditer(text):
        pieces = [piece.strip() for piece in literals(call_text(text, match.end()))]
        longest = max(pieces, key=len, default='')
        if longest and not is_expected(longest, expected):
            line = text.count('\n', 0, match.start()) + 1
            yield line, f"{path}:{line}: no test expects '{longest}'"


def is_rule(path):
    # A library that fails on a card is no refusal of operands, and no test here has the card.
    rooms = r'kernels/(?:(?!host/|device/)\w+/)?\w+\.(?:cpp|h)'
    return re.fullmatch(rooms, path) is not None and not path.endswith('_cublaslt.cpp')


def main():
    expected = {piece for path in tree.paths()
                if path.startswith('tests/') and path.endswith(('_test.cpp', '.h'))
                for piece in literals(tree.text(path))}
    planted = tree.text(PLANTED)
    found = {line for line, _ in untested(PLANTED, planted, expected)}
    marked = {number for number, line in enumerate(planted.split('\n'), 1) if 'FAULT' in line}
    problems = [] if found == marked else [f'{PLANTED}: {found} found, {marked} marked']
    seen = 0
    for path in filter(is_rule, tree.paths()):
        seen += len(CALL.findall(tree.text(path)))
        problems += [message for _, message in untested(path, tree.text(path), expected)]
    if seen < 50:
        problems.append(f'only {seen} refusals seen')
    print('\n'.join(problems) or f'{seen} refusals of ops are expected by tests')
    return 1 if problems else 0


sys.exit(main())
