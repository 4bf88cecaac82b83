# Matrix products alone, beside oneDNN: what gemm_bench prints, as data.
import re
import subprocess

from servers import environment

LINE = re.compile(r'^(?P<name>\S.*?)\s+(?P<M>\d+)\s+(?P<N>\d+)\s+(?P<K>\d+)\s+(?P<ours>[\d.]+) us'
                  r'\s+(?P<gflops>[\d.]+) GFLOP/s.*\|\s+(?P<peer>[\d.]+) us')
ABSENT_MICROSECONDS = 0.05  # without oneDNN its column times an empty call


def run(build, threads, fma_gflops):
    output = subprocess.run([build / 'tests' / 'gemm_bench', str(threads)], check=True,
                            capture_output=True, text=True, env=environment(threads)).stdout
    rows = []
    for found in filter(None, map(LINE.match, output.split('\n'))):
        row = {'case': f'{found["name"]} {found["M"]} x {found["N"]} x {found["K"]}',
               'seconds': 1e-6 * float(found['ours']), 'gflops': float(found['gflops']),
               'fma_share': float(found['gflops']) / fma_gflops}
        peer = float(found['peer'])
        if peer > ABSENT_MICROSECONDS:
            row['onednn_seconds'], row['ratio'] = 1e-6 * peer, peer / float(found['ours'])
        rows.append(row)
    return rows


def lines(rows):
    for row in rows:
        peer = f'{1e6 * row["onednn_seconds"]:12.2f} {row["ratio"]:7.2f}' if 'ratio' in row else ''
        yield (f'gemm {row["case"]:<36} {1e6 * row["seconds"]:12.2f} us {row["gflops"]:7.1f} '
               f'GFLOP/s {100 * row["fma_share"]:5.1f} % of fma {peer}')
