# Turns C++ into text that can be scanned: comments, literals and directives become blanks.
import re

_TOKEN = re.compile(
    r'//[^\n]*(?:\\\n[^\n]*)*'
    r'|/\*.*?\*/'
    r'|R"(?P<tag>[^()\\\s]*)\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)


def _blanks(text):
    return re.sub(r'[^\n]', ' ', text)


def without_comments(text, keep_strings=False):
    """`text` with comments (and the insides of literals) as blanks; lines and columns stay."""
    def replace(match):
        token = match.group(0)
        if token.startswith('/'):
            return _blanks(token)
        return token if keep_strings else '"' + _blanks(token[1:-1]) + '"'
    return _TOKEN.sub(replace, text)


def without_directives(text, branch):
    """`text` with directives as blanks; of #if / #else only the first or the last branch stays."""
    out = []
    stack = []  # one entry an open #if: is its present branch kept?
    for line in _logical_lines(text):
        match = re.match(r'\s*#\s*(\w+)', line)
        word = match.group(1) if match else None
        if word in ('if', 'ifdef', 'ifndef'):
            stack.append(branch == 'first' or not _has_else(text, out))
        elif word in ('elif', 'else') and stack:
            stack[-1] = branch == 'last' and word == 'else'
        elif word == 'endif' and stack:
            stack.pop()
        keep = word is None and all(stack)
        out.append(line if keep else _blanks(line))
    return ''.join(out)


def _logical_lines(text):
    return re.findall(r'(?:[^\n\\]|\\\n|\\(?!\n))*\n|(?:[^\n\\]|\\\n|\\(?!\n))+$', text)


def _has_else(text, out):
    """Does the #if that follows the lines `out` have an #else of its own?"""
    depth = 0
    for line in _logical_lines(text[sum(map(len, out)):]):
        match = re.match(r'\s*#\s*(\w+)', line)
        word = match.group(1) if match else ''
        if word.startswith('if'):
            depth += 1
        elif word == 'endif':
            depth -= 1
            if depth == 0:
                return False
        elif word == 'else' and depth == 1:
            return True
    return False
