# Finds the functions of a C++ or CUDA file by its braces: length, parameters, nesting.
import re
from dataclasses import dataclass, field

from cpp_text import without_comments, without_directives

_CONTROL = re.compile(r'\b(?:else\s+if|if|for|while|switch|do|try|catch|else)\b')
_SCOPE = re.compile(r'\b(?:namespace|extern\s*"[^"]*"$)')
_TYPE = re.compile(r'\b(?:class|struct|union|enum)\b(?![^()]*\)\s*[^()]*$)')
_LAMBDA = re.compile(r'(?:^|[^\w\s\])]|\breturn)\s*\[[^\[\]]*\]\s*'
                     r'(?:\((?P<parameters>[^()]*(?:\([^()]*\)[^()]*)*)\))?[^()=;,]*$')
_TYPE_WORD = re.compile(r'\b(?:class|struct|union|enum)\b')
_LABEL = re.compile(r'^\s*(?:(?:public|private|protected)\s*:|case\b[^:{}]*:(?!:)|default\s*:)')
_NOT_A_NAME = re.compile(r'\b(?:noexcept|decltype|requires|alignas|__attribute__|__launch_bounds__'
                         r'|explicit|throw)\s*$')


@dataclass
class Function:
    name: str
    line: int          # of the first line of its head
    last_line: int
    parameters: int
    head: str
    nesting: int = 0
    nesting_line: int = 0


@dataclass
class _Open:
    kind: str          # scope, type, function, control, initializer, block
    head: str
    head_start: int
    parens: int
    depth: int         # control levels inside the innermost function
    function: Function = field(default=None)


def functions(text):
    """Every function and lambda with a body; both branches of #if / #else are looked at."""
    found = {}
    for branch in ('first', 'last'):
        plain = without_directives(without_comments(text), branch)
        for function in _scan(plain):
            found.setdefault((function.line, function.name), function)
    return sorted(found.values(), key=lambda function: function.line)


def _scan(text):
    out = []
    stack = [_Open('scope', '', 0, 0, 0)]
    start = 0      # where the present head begins
    parens = 0
    line_of = _line_numbers(text)
    for i, c in enumerate(text):
        top = stack[-1]
        if c in '([':
            parens += 1
        elif c in ')]':
            parens = max(0, parens - 1)
        elif c == ';' and parens == 0:
            # A statement without braces is no block: of `for (...) if (...) x;` one level counts.
            _note_depth(top, top.depth + max(0, _controls(text[start:i]) - 1), line_of[i])
            start = i + 1
        elif c == '{':
            opened = _classify(text, start, i, top, parens)
            _enter(opened, top, out, line_of, i)
            stack.append(opened)
            parens = 0
            start = i + 1
        elif c == '}' and len(stack) > 1:
            closed = stack.pop()
            parens = closed.parens
            _leave(closed, line_of[i])
            # What follows an initializer or a lambda belongs to the statement around it.
            whole = closed.kind == 'initializer' or closed.parens > 0
            start = closed.head_start if whole else i + 1
    return out


def _line_numbers(text):
    numbers, line = [], 1
    for c in text:
        numbers.append(line)
        line += c == '\n'
    return numbers


def _enter(opened, top, out, line_of, i):
    if opened.kind == 'function':
        stripped = len(opened.head) - len(opened.head.lstrip())
        opened.function.line = line_of[min(opened.head_start + stripped, i)]
        if opened.function.name == 'lambda':
            opened.function.line = line_of[i]
        out.append(opened.function)
    elif opened.kind == 'control':
        _note_depth(opened, opened.depth, line_of[i])


def _leave(closed, line):
    if closed.kind == 'function':
        closed.function.last_line = line


def _note_depth(opened, depth, line):
    function = opened.function
    if function and depth > function.nesting:
        function.nesting, function.nesting_line = depth, line


def _controls(head):
    """Control statements that a head opens: `for (...) if (...)` is two, `else if` one."""
    flat = _outside_brackets(head)
    return len([word for word in _CONTROL.findall(flat)])


def _outside_brackets(text):
    out, depth = [], 0
    for c in text:
        if c in ')]}':
            depth -= 1
        out.append(c if depth <= 0 else ' ')
        if c in '([{':
            depth += 1
    return ''.join(out)


def _classify(text, start, i, top, parens):
    head = re.sub(_LABEL, _keep, text[start:i])
    opened = _Open('block', head, start, parens, top.depth, top.function)
    flat = head.strip()
    is_lambda = _LAMBDA.search(flat)
    if is_lambda:
        count = _count_parameters(is_lambda.group('parameters') or '')
        opened.kind, opened.depth = 'function', 0
        opened.function = Function('lambda', 0, 0, count, flat)
    elif top.kind in ('scope', 'type'):
        _classify_declaration(opened, flat)
    elif parens > 0 or re.search(r'(?:[=,(<>\w\]]|\breturn)$', flat) and not _is_control(flat):
        opened.kind = 'type' if _TYPE.search(flat) else 'initializer'
    elif _is_control(flat):
        opened.kind, opened.depth = 'control', top.depth + max(1, _controls(flat))
    return opened


def _keep(match):
    return re.sub(r'[^\n]', ' ', match.group(0))


def _is_control(flat):
    return bool(_CONTROL.match(flat))


def _classify_declaration(opened, flat):
    plain = _without_template(flat)
    outside = _outside_brackets(plain)
    if _SCOPE.search(outside):
        opened.kind = 'scope'
    elif _TYPE_WORD.search(outside) and '(' not in _no_attributes(outside):
        opened.kind = 'type'
    elif _is_function(plain, outside):
        name, parameters = _name_and_parameters(plain)
        opened.kind, opened.depth = 'function', 0
        opened.function = Function(name, 0, 0, _count_parameters(parameters), flat)
    else:
        opened.kind = 'initializer'


def _no_attributes(outside):
    return re.sub(r'\b(?:alignas|__align__|__attribute__)\s*\(\s*\)', '', outside)


def _is_function(plain, outside):
    if '(' not in outside or re.search(r'(?<![=!<>+\-*/%&|^])=(?!=)', _no_operator(outside)):
        return False
    # A member initializer `: a_{1}` or `, b_{2}` is not the body yet.
    return not re.search(r'\)[^:]*(?<!:):(?!:).*[\w>]$', outside, re.DOTALL) or \
        not re.search(r'[:,]\s*[\w:]+(?:<[^{}]*>)?$', outside)


def _no_operator(text):
    return re.sub(r'\boperator\s*[^\s\w(]+', 'operator', text)


def _without_template(head):
    """A head without its template<...> and requires-clauses' angle brackets."""
    match = re.match(r'\s*template\s*<', head)
    while match:
        depth, i = 1, match.end()
        while i < len(head) and depth:
            depth += {'<': 1, '>': -1}.get(head[i], 0)
            i += 1
        head = head[i:]
        match = re.match(r'\s*template\s*<', head)
    return head


def _name_and_parameters(plain):
    """The identifier before the parameter list, and the list."""
    for match in re.finditer(r'\(', plain):
        before = plain[:match.start()]
        if _outside_brackets(before).count('(') != _outside_brackets(before).count(')'):
            continue
        if _NOT_A_NAME.search(before) or not re.search(r'[\w>)\]=+\-*/<!&|^~%]\s*$', before):
            continue
        if re.search(r'\boperator\s*$', before):
            continue
        name = re.search(r'(?:operator\s*\S+|operator\s*\(\s*\)|~?\w+)\s*$', before)
        return (name.group(0).strip() if name else before.strip()[-20:],
                _inside(plain, match.start()))
    return '?', ''


def _inside(text, opening):
    depth = 0
    for i in range(opening, len(text)):
        depth += {'(': 1, ')': -1}.get(text[i], 0)
        if depth == 0:
            return text[opening + 1:i]
    return text[opening + 1:]


def _count_parameters(parameters):
    if not parameters.strip() or parameters.strip() == 'void':
        return 0
    depth, commas = 0, 0
    for c in parameters:
        depth += {'(': 1, '[': 1, '{': 1, '<': 1, ')': -1, ']': -1, '}': -1, '>': -1}.get(c, 0)
        commas += c == ',' and depth == 0
    return commas + 1
