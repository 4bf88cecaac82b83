# consumer_test.py CMAKE BUILD COMPILER GENERATOR: a program outside the tree builds and runs with
# the installed library, found by find_package and by pkg-config.
import os
import pathlib
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


def by_pkg_config(prefix, build, compiler):
    found = list(prefix.rglob('fornax.pc'))
    environment = dict(os.environ, PKG_CONFIG_PATH=str(found[0].parent))
    flags = run(['pkg-config', '--cflags', '--libs', 'fornax'], env=environment).split()
    build.mkdir()
    run([compiler, *FLAGS, HERE / 'main.cpp', '-o', build / 'consumer', *flags])
    library = next(prefix.rglob('libfornax.so')).parent
    return run([build / 'consumer'], env=dict(os.environ, LD_LIBRARY_PATH=str(library)))


def main():
    cmake, tree, compiler, generator = sys.argv[1:5]
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        run([cmake, '--install', tree, '--prefix', scratch / 'installed'])
        # The tree is moved: nothing in it may hold the path that it was installed to.
        prefix = scratch / 'moved'
        shutil.move(scratch / 'installed', prefix)
        said = [by_find_package(cmake, prefix, scratch / 'cmake', compiler, generator),
                by_pkg_config(prefix, scratch / 'pkg', compiler)]
    if said != ['[64, 784]\n'] * 2:
        raise SystemExit(f'the consumer said {said}')
    print('built and run by find_package and by pkg-config')


main()
