# What is said about a run of the benchmarks besides its times, and the lines of its table.
import json
import math
import os
import re
import shutil
import subprocess


def has(program):
    return shutil.which(program) is not None


def _first_line(command, **options):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except OSError:
        return ''
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


def _commit(root, named):
    """`named` if it is given; else what git knows, if there is git and `root` is a repository."""
    known = _first_line(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=root)
    changed = _first_line(['git', 'status', '--porcelain', '--untracked-files=no'], cwd=root)
    return {'commit': named or known or 'unknown',
            'commit_is_clean': bool(named or known and not changed)}


def _compiler(build):
    name = 'c++'
    for line in (build / 'CMakeCache.txt').read_text().split('\n'):
        if line.startswith('CMAKE_CXX_COMPILER:'):
            name = line.partition('=')[2]
    return _first_line([name, '--version'])


def _compiler_of(program):
    """As the compiler left its name in the program, which may come from another machine."""
    content = program.read_bytes()
    found = re.search(rb'clang version [^\0]+', content) or re.search(rb'GCC: [^\0]+', content)
    return found[0].decode() if found else ''


def describe(root, build, options):
    """`options`: with no_build, and commit: its name, if the caller knows it."""
    compiler = _compiler_of(build / 'tests' / 'op_bench') if options.no_build else _compiler(build)
    return {'cpu': _cpu_model(), 'cpus': len(os.sched_getaffinity(0)),
            'compiler': compiler or 'unknown', **_commit(root, options.commit)}


def fma_rates(ceilings):
    """The arithmetic ceilings as text, of a CPU by threads."""
    rates = [f'{rate:.1f} GFLOP/s on '
             + ('the device' if n == 'device' else f'{n} thread{"s" * (n != "1")}')
             for n, rate in ceilings['fma_gflops'].items()]
    if ceilings.get('bf16_gemm_gflops'):
        rates.append(f'bf16 products {ceilings["bf16_gemm_gflops"]:.0f} GFLOP/s')
    return ', '.join(rates)


# What of the memory is measured, and how it is said.
MEMORY_RATES = (('traffic_gbytes', 'memory'), ('read_gbytes', 'read alone'),
                ('write_gbytes', 'written alone'))


def memory_rates(ceilings):
    """The rates of memory as text, each from that of the most to that of the fewest bytes."""
    said = []
    for key, name in MEMORY_RATES:
        rates = ceilings.get(key, {}).values()
        if rates:
            said.append(f'{name} {min(rates):.1f} to {max(rates):.1f} GB/s')
    return said


def heading(report, versions):
    ceilings = report['ceilings']
    lines = [f'{report["date"]}, commit {report["commit"]}, {report["compiler"]}',
             f'{report["cpu"]}, {report["threads"]} threads, isa {ceilings["isa"]}, '
             f'load {report["load_before"][0]:.2f}',
             ', '.join([f'ceilings: fma {fma_rates(ceilings)}', *memory_rates(ceilings)])]
    lines += [f'peer {peer} {version}' for peer, version in versions.items()]
    return '\n'.join(lines)


def write(report, path):
    """One line a result, so that a change of one case is a change of one line."""
    rows = [json.dumps(result) for result in report['results']]
    rest = json.dumps({key: value for key, value in report.items() if key != 'results'}, indent=1)
    partial = path.with_name(f'{path.name}.partial')  # the file is whole at any time
    partial.write_text(rest.rstrip('}\n') + ',\n "results": [\n  ' + ',\n  '.join(rows)
                       + '\n ]\n}\n')
    partial.replace(path)


SAME = ('commit', 'commit_is_clean', 'device', 'threads', 'cpu', 'cpus', 'compiler', 'quick')


def add_to(old, new):
    """The report `new`, of a run of the same program on the same machine, with the results of `old`
    that it does not have; ValueError says what differs."""
    for key in SAME:
        if old[key] != new[key]:
            raise ValueError(f'{key} is {old[key]} there and {new[key]} here')
    cards = [report['ceilings'].get('name') for report in (old, new)]
    if cards[0] != cards[1]:
        raise ValueError(f'the device is {cards[0]} there and {cards[1]} here')
    names = {result['case'] for result in new['results']}
    kept = [result for result in old['results'] if result['case'] not in names]
    together = {key: {**old.get(key, {}), **new.get(key, {})} for key in ('versions', 'absent')}
    return {**old, **new, **together, 'load_before': old['load_before'],
            'note': new['note'] or old['note'], 'results': kept + new['results']}


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


def work_in_caches(result):
    """Where an op misses its floor by bytes, and would without a memory to wait for, as text."""
    cached = result.get('cached_seconds', 0.0)
    if cached <= result['limits']['least_share'] * result['floor_seconds']:
        return ''
    share = 100 * cached / result['seconds']
    return f' (the same work in the caches takes {share:.0f} % of its time)'


def rounded_down(number, digits=0):
    """As text: what misses a target does not look like it."""
    return f'{math.floor(number * 10**digits) / 10**digits:.{digits}f}'


def targets(result):
    """(what is held to a target, as text; whether it is met) of a case."""
    for peer, its in result['peers'].items():
        if its['target']:
            ratio, best = (rounded_down(its[of], 2) for of in ('ratio', 'best_ratio'))
            yield f'{ratio} times {peer} (best {best}), target {its["target"]:g}', meets(its)
    limits = result.get('limits', {})
    share = limits.get('least_share')
    if share and result.get('floor_seconds') and (
            result['floor_by'] != 'fma' or result['group'] != 'ops'):
        best = result.get('best_share', result['floor_seconds'] / min(result['samples']))
        met = min(result['floor_share'], best) >= share  # as meets(): a floor is disturbed too
        why = '' if met or result['floor_by'] != 'bytes' else work_in_caches(result)
        yield (f'{rounded_down(100 * result["floor_share"])} % of the floor by '
               f'{result["floor_by"]} (best {rounded_down(100 * best)} %), target '
               f'{100 * share:.0f} %{why}', met)
    torch = result['peers'].get('torch', {})
    if limits.get('most_memory') and torch.get('peak_bytes', 0) > 0 and 'peak_bytes' in result:
        ratio = result['peak_bytes'] / torch['peak_bytes']
        yield (f'{ratio:.2f} of the memory of torch, target {limits["most_memory"]:g}',
               ratio <= limits['most_memory'])
    if limits.get('most_seconds'):
        yield (f'{duration(result["seconds"])}, target {duration(limits["most_seconds"])}',
               result['seconds'] <= limits['most_seconds'])


def verdicts(results):
    """All targets that were missed, and how many were met."""
    held = [(result['case'], *target) for result in results for target in targets(result)]
    lines = [f'target missed: {case}: {text}' for case, text, met in held if not met]
    return '\n'.join(lines + [f'{len(held) - len(lines)} of {len(held)} targets met'])


def table_heading():
    return (f'{"case":<46} {"ours":>12} {"spread":>7} {"floor":>12} {"% floor":>8} '
            f'{"in cache":>12} {"MiB":>8} | '
            f'{"peer":<14} {"its time":>12} {"spread":>7} {"ratio":>7} {"best":>7} {"MiB":>8}')


def table_rows(result):
    floor = result.get('floor_seconds')
    start = (f'{result["case"]:<46} {duration(result["seconds"]):>12} '
             f'{100 * result["spread"]:>5.1f} % {duration(floor) if floor else "-":>12} ')
    start += f'{100 * result["floor_share"]:>6.1f} %' if floor else f'{"-":>8}'
    cached = result.get('cached_seconds')
    start += f' {duration(cached) if cached else "-":>12}'
    start += f' {mebibytes(result["peak_bytes"]) if "peak_bytes" in result else "-":>8} | '
    blank = ' ' * (len(start) - 2) + '| '
    rows = []
    for peer, its in result['peers'].items():
        memory = mebibytes(its['peak_bytes']) if 'peak_bytes' in its else '-'
        rows.append(f'{peer:<14} {duration(its["seconds"]):>12} {100 * its["spread"]:>5.1f} % '
                    f'{its["ratio"]:>7.2f} {its["best_ratio"]:>7.2f} {memory:>8}')
    rows += [f'{peer}: {reason}' for peer, reason in result.get('failures', {}).items()]
    if result['group'] == 'placement':
        share = result['plan']['arena_bytes'] / result['plan']['lower_bound_bytes']
        rows.append(f'arena over lower bound {share:.4f} of {result["plan"]["nodes"]} buffers')
    rows += [text if met else f'MISSED: {text}' for text, met in targets(result)]
    return [(blank if i else start) + row for i, row in enumerate(rows or [''])]
