# The files of the repository that the rules of the house look at.
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CPP = ('.h', '.cpp', '.cu', '.cuh')
CODE = CPP + ('.py', '.sh', '.cmake')
ROOMS = ('include', 'kernels', 'runtime', 'samples', 'tests', 'cmake', '.ci')


def paths():
    """Every file, as a posix path from the root; what is planted or made is left out."""
    out = [path.name for path in ROOT.iterdir() if path.is_file()]
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob('*')):
            relative = path.relative_to(ROOT).as_posix()
            if path.is_file() and not _is_made(relative):
                out.append(relative)
    return out


def _is_made(relative):
    return relative.startswith('tests/house/planted/') or '__pycache__' in relative


def text(relative):
    return (ROOT / relative).read_text(encoding='utf-8')


def public_headers():
    return [path for path in paths() if path.startswith('include/') and path.endswith('.h')]
