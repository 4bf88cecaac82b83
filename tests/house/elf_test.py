# elf_test.py needed|hardening LIBRARY, elf_test.py landing_pads OBJECTS...: what readelf says of
# libfornax: the libraries that it needs (none of NVIDIA), and the marks of a hardened build.
import re
import subprocess
import sys

import tree

# What a machine without CUDA has: the log library, its formatter, the C and C++ run time.
KNOWN = re.compile(r'^(?:libspdlog|libfmt|libstdc\+\+|libc\+\+|libc\+\+abi|libm|libgcc_s'
                   r'|libc|libpthread|libdl|librt|ld-linux[\w\-]*)\.so(?:\.[\d.]+)?$')


def needed(text):
    libraries = re.findall(r'\(NEEDED\).*\[(.*?)\]', text)
    for library in libraries:
        if not KNOWN.match(library):
            yield f'needs {library}'
    if not libraries:
        yield 'no NEEDED entry seen'
    if re.search(r'\((?:RPATH|RUNPATH)\)', text):
        yield 'carries a path of the machine that built it'


def hardening(text):
    stack = re.search(r'GNU_STACK(?:\s+0x[0-9a-f]+){5}\s+(\w+)', text)
    if not stack or 'E' in stack.group(1):
        yield 'the stack is executable (noexecstack)'
    for mark, pattern in (('relro', r'GNU_RELRO'), ('now', r'BIND_NOW|FLAGS_1\).*\bNOW\b'),
                          ('stack protector', r'__stack_chk_fail'),
                          ('fortified calls', r'\b__\w+_chk\b(?<!__stack_chk)')):
        if not re.search(pattern, text):
            yield f'no mark of: {mark}'
    if re.search(r'\(TEXTREL\)', text):
        yield 'relocations in the code (TEXTREL)'


def landing_pads(text):
    """Of objects: a start file of the system without the mark takes it from the linked library."""
    for block in re.split(r'^File: ', text, flags=re.MULTILINE)[1:]:
        if not re.search(r'x86 feature:.*\bIBT\b.*\bSHSTK\b', block):
            yield f'no mark of cf-protection: {block.splitlines()[0]}'
    if 'File: ' not in text:
        yield 'no object seen'


def main():
    rule = {'needed': needed, 'hardening': hardening, 'landing_pads': landing_pads}[sys.argv[1]]
    run = subprocess.run(['readelf', '-dlnW', '--dyn-syms', *sys.argv[2:]], text=True,
                         capture_output=True, check=False)
    problems = [] if run.returncode == 0 else [run.stderr]
    problems += rule(run.stdout)
    planted = sorted((tree.ROOT / 'tests/house/planted').glob(f'elf_{sys.argv[1]}*.txt'))
    for file in planted:
        if not list(rule(file.read_text())):
            problems.append(f'{file.name}: the planted fault is not found')
    if not planted:
        problems.append('no planted fault')
    print('\n'.join(problems) or f'{len(sys.argv) - 2} files are as they should be')
    return 1 if problems else 0


sys.exit(main())
