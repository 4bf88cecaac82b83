# consumer_test.py CMAKE BUILD COMPILER GENERATOR: a program outside the tree builds and runs with
# the installed library, found by find_package and by pkg-config.
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent / 'consumer'
FLAGS = ['-std=c++20', '-Wall', '-Wextra', '-Werror']


def run(command, **options):
    result = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                            check=False, **options)
    if result.returncode:
        raise SystemExit(f'{command}: exit status {result.returncode}\n'
                         f'{result.stdout}{result.stderr}')
    return result.stdout


def by_find_package(cmake, prefix, build, compiler, generator):
    # CUDA and third-party packages may not be looked for on this side.
    off = [f'-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON' for name in ('CUDAToolkit', 'spdlog', 'Boost')]
    run([cmake, '-S', HERE, '-B', build, '-G', generator, f'-DCMAKE_PREFIX_PATH={prefix}',
         f'-DCMAKE_CXX_COMPILER={compiler}', *off])
    run([cmake, '--build', build])
    return run([build / 'consumer'])


def by_pkg_config(prefix, build, compiler, source):
    found = list(prefix.rglob('fornax.pc'))
    environment = dict(os.environ, PKG_CONFIG_PATH=str(found[0].parent))
    flags = run(['pkg-config', '--cflags', '--libs', 'fornax'], env=environment).split()
    build.mkdir()
    run([compiler, *FLAGS, source, '-o', build / 'consumer', *flags])
    library = next(prefix.rglob('libfornax.so')).parent
    return run([build / 'consumer'],
               env=dict(os.environ, LD_LIBRARY_PATH=str(library), FORNAX_DEVICE='cpu'))


def check_readme(prefix, build, compiler):
    """The program in README.md builds, its loss falls, and it prints a hash."""
    text = (HERE.parents[2] / 'README.md').read_text(encoding='utf-8')
    source = build.with_suffix('.cpp')
    source.write_text(re.search(r'```cpp\n(.*?)```', text, re.DOTALL).group(1), encoding='utf-8')
    said = by_pkg_config(prefix, build, compiler, source)
    losses = [float(number) for number in re.findall(r'loss ([\d.]+)', said)]
    fell = len(losses) >= 3 and losses[-1] < losses[0] / 2
    if not fell or not re.search(r'^[0-9a-f]{64}$', said, re.MULTILINE):
        raise SystemExit(f'the program of README.md said:\n{said}')


def main():
    cmake, tree, compiler, generator = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        run([cmake, '--install', tree, '--prefix', scratch / 'installed'])
        # The tree is moved: nothing in it may hold the path that it was installed to.
        prefix = scratch / 'moved'
        shutil.move(scratch / 'installed', prefix)
        said = [by_find_package(cmake, prefix, scratch / 'cmake', compiler, generator),
                by_pkg_config(prefix, scratch / 'pkg', compiler, HERE / 'main.cpp')]
        check_readme(prefix, scratch / 'readme', compiler)
    if said != ['[64, 784]\n'] * 2:
        raise SystemExit(f'the consumer said {said}')
    print('built and run by find_package and by pkg-config')


main()
