# The rules that a source file can be held to by reading it: budgets, arrows, names, words.
# A rule takes a path from the root and a text, and yields (line, message).
import re

from cpp_functions import functions
from cpp_text import without_comments
from tree import CODE, CPP

FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 400, 60, 80
PARAMETERS, NESTING, COLUMNS = 6, 3, 100

# Layers of runtime/, bottom to top (docs/architecture.md); each may use those before it.
RUNTIME = ('support', 'memory', 'device', 'cuda', 'graph', 'passes', 'execution', 'model', 'data',
           'training', 'storage', 'collective')
VENDOR = re.compile(r'^(?:cuda|cublas|cudnn|nccl|nv|mma\.h|cooperative_groups|curand|driver_types'
                    r'|device_launch|sm_|cub/|thrust/|cutlass|cute/)')
THIRD_PARTY = re.compile(r'\b(?:spdlog|fmt|hwy|nlohmann|boost|CLI|testing)\s*::'
                         r'|\b(?:cuda|cublas|cudnn|nccl)[A-Z]\w*\b'
                         r'|\bCU(?:stream|event|module)\b')
TOOLBOXES = ('kernels/device/', 'kernels/host/')
BANNED_NAMES = {'common', 'util', 'utils', 'helper', 'helpers', 'misc', 'impl', 'fast', 'opt',
                'new', 'v2', 'stuff', 'tmp'}


def is_cpp(path):
    return path.endswith(CPP)


def is_code(path):
    return path.endswith(CODE) or path.endswith('CMakeLists.txt') or path.endswith('/run')


def file_lines(path, text):
    count = text.count('\n')
    if is_code(path) and count > FILE_LINES:
        yield FILE_LINES + 1, f'{count} lines, at most {FILE_LINES}'


def line_columns(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        if is_code(path) and len(line) > COLUMNS:
            yield number, f'{len(line)} columns, at most {COLUMNS}'


def _is_kernel(path, text, function):
    """GPU code, and code compiled once for each instruction set, is a kernel."""
    if path.endswith(('.cu', '.cuh')) or '__global__' in function.head:
        return True
    before = '\n'.join(text.split('\n')[:function.line])
    return before.count('HWY_BEFORE_NAMESPACE(') > before.count('HWY_AFTER_NAMESPACE(')


def function_lines(path, text):
    for function in functions(text) if is_cpp(path) else ():
        limit = KERNEL_LINES if _is_kernel(path, text, function) else FUNCTION_LINES
        count = function.last_line - function.line + 1
        if count > limit:
            yield function.line, f'{function.name}: {count} lines, at most {limit}'


def parameters(path, text):
    for function in functions(text) if is_cpp(path) else ():
        foreign = THIRD_PARTY.search(function.name)  # its signature is the library's
        if function.parameters > PARAMETERS and not foreign:
            yield (function.line,
                   f'{function.name}: {function.parameters} parameters, at most {PARAMETERS}')


def nesting(path, text):
    for function in functions(text) if is_cpp(path) else ():
        if function.nesting > NESTING:
            yield (function.nesting_line,
                   f'{function.name}: blocks {function.nesting} deep, at most {NESTING}')


def opening_comment(path, text):
    lines = text.split('\n')
    first = lines[1] if lines[0].startswith('#!') else lines[0]
    mark = '//' if is_cpp(path) else '#'
    if is_code(path) and not first.startswith(mark):
        yield 1, 'a file opens with a comment that says what lives here'


def path_names(path, text):
    for word in re.split(r'[/_.\-]', path):
        if word.lower() in BANNED_NAMES:
            yield 1, f"no file or folder is called '{word}'"


def leftovers(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        if is_code(path) and re.search(r'\b(?:TO' r'DO|FIX' r'ME|XX' r'X)\b', line):
            yield number, 'unfinished work does not land'


def _includes(text):
    code = without_comments(text, keep_strings=True)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', code, re.MULTILINE):
        yield code.count('\n', 0, match.start()) + 1, match.group(1), match.group(2)


def _allowed(path, target):
    """May the file `path` include `target`, a path from the root or fornax/...?"""
    room = path.split('/')
    if target.startswith('fornax/'):
        return not path.startswith(('kernels/numeric/', 'kernels/device/'))
    goal = target.split('/')
    if room[0] == 'runtime' and room[1] == 'support':
        return goal[:2] == ['runtime', 'support']
    if room[0] == 'kernels':
        return _kernels_may(room, goal)
    if room[0] == 'runtime':
        if goal[0] == 'kernels':
            return True
        return goal[0] == 'runtime' and goal[1] in RUNTIME[:RUNTIME.index(room[1]) + 1]
    return room[0] == 'tests'


def _kernels_may(room, goal):
    if goal[:2] == ['runtime', 'support']:
        return room[1] not in ('numeric', 'device')
    if goal[0] != 'kernels':
        return False
    here = room[1] if len(room) > 2 else ''
    there = goal[1] if len(goal) > 2 else ''
    if here == 'numeric':
        return there == 'numeric'
    if here == 'device':
        return there in ('device', 'numeric')
    if here == 'host':
        return there in ('', 'host', 'numeric')
    return goal[-1].endswith(('.h', '.cuh'))  # families share by their headers


def arrows(path, text):
    if not is_cpp(path) or path.startswith('tests/'):
        return
    public = path.startswith(('include/', 'samples/'))
    for number, quote, target in _includes(text):
        if public and quote == '"':
            yield number, f'"{target}": only <fornax/...> and the standard library here'
        elif not public and target.startswith(('kernels/', 'runtime/', 'fornax/')):
            if not _allowed(path, target):
                yield number, f'{path} may not use {target}'
        elif target.startswith(('tests/', 'samples/')) or '../' in target:
            yield number, f'{path} may not use {target}'


def public_headers(path, text):
    """Standard library and fornax only; no third-party type; no macro but FORNAX_*."""
    if not path.startswith('include/'):
        return
    for number, _, target in _includes(text):
        if not target.startswith('fornax/') and not re.fullmatch(r'[a-z_]+', target):
            yield number, f'<{target}> is not of the standard library'
    for number, line in enumerate(without_comments(text).split('\n'), 1):
        if THIRD_PARTY.search(line):
            yield number, 'a third-party type in a public header'
        macro = re.match(r'\s*#\s*define\s+(\w+)', line)
        if macro and not macro.group(1).startswith('FORNAX_'):
            yield number, f'macro {macro.group(1)}: only FORNAX_* in public headers'


def _may_speak_cuda(path):
    return path.startswith(('kernels/device/', 'runtime/cuda/')) or \
        path.endswith(('_cublaslt.cpp', '_cudnn.cpp'))


def raw_cuda(path, text):
    """Device instructions, launches and vendor headers live behind named functions."""
    if not path.startswith(('kernels/', 'runtime/', 'include/', 'samples/')) or not is_cpp(path):
        return
    if not _may_speak_cuda(path):
        for number, _, target in _includes(text):
            if VENDOR.match(target):
                yield number, f'<{target}> belongs in kernels/device or runtime/cuda'
    for number, line in enumerate(without_comments(text).split('\n'), 1):
        if re.search(r'\b(?:asm|__asm__|__asm)\b', line) and not path.startswith(TOOLBOXES):
            yield number, 'assembly belongs in kernels/device and kernels/host'
        if re.search(r'<<<|>>>\s*\(', line):
            yield number, 'kernels start through launch(kernel, config, arguments...)'


def environment(path, text):
    """The environment is read through its table; what modules alone hold cannot reach it."""
    if not path.startswith(('kernels/', 'runtime/')) or not is_cpp(path) or \
            path.startswith('runtime/cuda/') or path.endswith('_cublaslt.cpp') or \
            path == 'runtime/support/environment.cpp':
        return
    for number, line in enumerate(without_comments(text).split('\n'), 1):
        if re.search(r'\b(?:secure_)?getenv\b', line):
            yield number, 'variables are read by environment() of runtime/support/environment.h'


RULES = {rule.__name__: rule for rule in (
    file_lines, line_columns, function_lines, parameters, nesting, opening_comment, path_names,
    leftovers, arrows, public_headers, raw_cuda, environment)}
