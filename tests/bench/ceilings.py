# What the machine can do at most: the heading of a run, and on a GPU the floors of its cases.
import json
import math
import statistics
import subprocess

from servers import Failure, environment

SIZES = [1 << 20, 256 << 20]
GPU_SIZES = [8 << 20, 32 << 20, 128 << 20, 1 << 30]  # in the second cache, and past it
WORD_BYTES = 4
NEAR = 0.5
BESIDE = 'bytes beside operations'
ROUNDING = 1e-8  # of numbers that come as 9 digits


class Ceilings:
    """`values`: isa; copy_streams, of copies past the caches; fma_gflops by number of threads, or
    of the "device"; traffic_gbytes by bytes read plus written, as many of each; read_gbytes and
    write_gbytes of reading and writing alone; of a GPU also bf16_gemm_gflops. Failure when they
    cannot be measured."""

    def __init__(self, folder, device, threads, libraries):
        on_gpu = device.startswith('cuda')
        command = [folder / 'tests' / ('cuda_ceilings_bench' if on_gpu else 'ceilings_bench'),
                   device.partition(':')[2] or '0' if on_gpu else str(threads)]
        sizes = map(str, GPU_SIZES if on_gpu else SIZES)
        done = subprocess.run([*command, *sizes], check=False, text=True, capture_output=True,
                              env={**environment(threads), **libraries})
        if done.returncode != 0:
            raise Failure(f'the ceilings were not measured: {done.stderr.strip()}')
        self.values = json.loads(done.stdout)
        self._key = 'device' if on_gpu else str(threads)

    def fma_gflops(self):
        return self.values['fma_gflops'][self._key]

    def _rate(self, kind, size, slowest):
        """At the nearest size that was measured, or the least of all, in bytes a second."""
        rates = self.values.get(kind, self.values['traffic_gbytes'])
        nearest = min(rates, key=lambda measured: abs(math.log(int(measured) / max(size, 1))))
        return 1e9 * (min(rates.values()) if slowest else rates[nearest])

    def seconds(self, by, work, slowest=False):
        """Of its FLOPs or operations, or of its bytes: what is both read and written, and the rest
        alone."""
        if by != 'bytes':
            return 1e-9 * fma_flops(by, work) / self.fma_gflops()
        rest = 'read_gbytes' if work.read > work.written else 'write_gbytes'
        both = 2 * min(work.read, work.written)
        return (both / self._rate('traffic_gbytes', work.bytes, slowest)
                + (work.bytes - both) / self._rate(rest, work.bytes, slowest))

    def floors(self, work):
        """{what may bound such work, fma, operations, bytes, or both of these where each is near
        the other: its seconds}; the longest, and what may be near it: rates are the best of a quiet
        moment, and of bytes between two sizes that were measured either rate may hold, so that a
        measured floor may be the longer one."""
        pairs = work.operations <= work.flops / 2 * (1 + ROUNDING)
        arithmetic = 'fma' if pairs else 'operations'
        floors = {by: self.seconds(by, work) for by in (arithmetic, 'bytes')}
        longest = max(floors.values())
        near = {by: seconds for by, seconds in floors.items()
                if self.seconds(by, work, slowest=True) > NEAR * longest}
        if len(near) == 2 and 'operations' in near and self._key != 'device' and not work.in_place:
            near[BESIDE] = longest  # at least; no machine need do both at once as quickly as either
        return near


def fma_flops(by, work):
    """FLOPs of a floor by fma; one by operations is as many fma."""
    return 2 * work.operations if by == 'operations' else work.flops


def check_touched(work, touched):
    """A floor by bytes reads and writes what it says, in whole words; numbers come as 9 digits."""
    asked = (work.read, work.written)
    for (seen,), amount in zip(touched, asked):
        if not math.isclose(seen, amount, rel_tol=ROUNDING, abs_tol=WORD_BYTES - 1):
            raise Failure(f'the floor reads and writes {touched} bytes; asked for {asked}')


def add_floor(result, floors):
    """`floors`: what may bound the case -> samples of what its least work takes, in seconds. The
    best samples, which other work disturbs least, say what does."""
    by = max(floors, key=lambda some: min(floors[some]))
    samples = floors[by]
    result['floor_by'], result['floor_seconds'] = by, statistics.median(samples)
    result['floor_share'] = result['floor_seconds'] / result['seconds']
    result['best_share'] = min(samples) / min(result['samples'])
