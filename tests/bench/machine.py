# What is said about a run of the benchmarks besides its times, and the lines of its table.
import os
import shutil
import subprocess


def has(program):
    return shutil.which(program) is not None


def _first_line(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.stdout.split('\n')[0].strip()


def _cpu_model():
    names = {}
    with open('/proc/cpuinfo') as info:
        for line in info:
            name, _, value = line.partition(':')
            names.setdefault(name.strip(), value.strip())
    family = ' '.join(f'{key} {names[key]}' for key in ('cpu family', 'model', 'stepping')
                      if key in names)
    return f'{names.get("model name", "unknown")} ({family})'


def describe(root, build):
    compiler = 'c++'
    for line in (build / 'CMakeCache.txt').read_text().split('\n'):
        if line.startswith('CMAKE_CXX_COMPILER:'):
            compiler = line.partition('=')[2]
    changed = _first_line(['git', 'status', '--porcelain', '--untracked-files=no'], cwd=root)
    return {'cpu': _cpu_model(), 'cpus': len(os.sched_getaffinity(0)),
            'compiler': _first_line([compiler, '--version']),
            'commit': _first_line(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=root),
            'commit_is_clean': not changed}


def heading(report, versions):
    ceilings = report['ceilings']
    fma = ', '.join(f'{rate:.1f} on {threads}' for threads, rate in ceilings['fma_gflops'].items())
    copies = ceilings['traffic_gbytes'].values()
    lines = [f'{report["date"]}, commit {report["commit"]}, {report["compiler"]}',
             f'{report["cpu"]}, {report["threads"]} threads, isa {ceilings["isa"]}, '
             f'load {report["load_before"][0]:.2f}',
             f'ceilings: fma {fma} threads (GFLOP/s)']
    if copies:
        lines[-1] += f', memory {min(copies):.1f} to {max(copies):.1f} GB/s'
    lines += [f'peer {peer} {version}' for peer, version in versions.items()]
    return '\n'.join(lines)


def duration(seconds):
    for unit, scale in (('s', 1), ('ms', 1e3), ('us', 1e6)):
        if seconds * scale >= 1 or unit == 'us':
            return f'{seconds * scale:.3f} {unit}'
    return ''


def mebibytes(count):
    return f'{count / (1 << 20):.1f}'


def meets(its):
    """The target is met by the medians and, since others' work slows one side's medians more than
    the other's, by the best samples too."""
    return min(its['ratio'], its['best_ratio']) >= its['target']


def table_heading():
    return (f'{"case":<26} {"ours":>12} {"spread":>7} {"floor":>12} {"% floor":>8} {"MiB":>8} | '
            f'{"peer":<14} {"its time":>12} {"spread":>7} {"ratio":>7} {"best":>7} {"MiB":>8}')


def table_rows(result):
    floor = result.get('floor_seconds')
    start = (f'{result["case"]:<26} {duration(result["seconds"]):>12} '
             f'{100 * result["spread"]:>5.1f} % {duration(floor) if floor else "-":>12} ')
    start += f'{100 * result["floor_share"]:>6.1f} %' if floor else f'{"-":>8}'
    start += f' {mebibytes(result["peak_bytes"]) if "peak_bytes" in result else "-":>8} | '
    blank = ' ' * (len(start) - 2) + '| '
    rows = []
    for peer, its in result['peers'].items():
        target = its['target']
        verdict = '' if not target else f'  target {target:g}' + (
            '' if meets(its) else ' MISSED')
        memory = mebibytes(its['peak_bytes']) if 'peak_bytes' in its else '-'
        rows.append(f'{peer:<14} {duration(its["seconds"]):>12} {100 * its["spread"]:>5.1f} % '
                    f'{its["ratio"]:>7.2f} {its["best_ratio"]:>7.2f} {memory:>8}{verdict}')
    rows += [f'{peer}: {reason}' for peer, reason in result.get('failures', {}).items()]
    return [(blank if i else start) + row for i, row in enumerate(rows or [''])]
