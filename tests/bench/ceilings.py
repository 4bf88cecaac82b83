# What the machine can do at most: the heading of a run, and on a GPU the floors of its cases.
import json
import math
import statistics
import subprocess

from servers import environment

SIZES = [1 << 20, 256 << 20]


class Ceilings:
    """`values`: isa; fma_gflops by number of threads, or of the "device"; traffic_gbytes by bytes
    read plus written; of a GPU also bf16_gemm_gflops."""

    def __init__(self, folder, device, threads):
        on_gpu = device.startswith('cuda')
        command = [folder / 'tests' / ('cuda_ceilings_bench' if on_gpu else 'ceilings_bench'),
                   device.partition(':')[2] or '0' if on_gpu else str(threads)]
        done = subprocess.run([*command, *map(str, SIZES)], check=True, text=True,
                              capture_output=True, env=environment(threads))
        self.values = json.loads(done.stdout)
        self._key = 'device' if on_gpu else str(threads)

    def fma_gflops(self):
        return self.values['fma_gflops'][self._key]

    def seconds(self, by, amount):
        """Of that many FLOPs, or of bytes at the rate of the nearest size."""
        if by == 'fma':
            return 1e-9 * amount / self.fma_gflops()
        rates = self.values['traffic_gbytes']
        nearest = min(rates, key=lambda size: abs(math.log(int(size) / max(amount, 1))))
        return 1e-9 * amount / rates[nearest]

    def floor(self, flops, moved):
        """(what bounds such work, how much of it there is)."""
        return max(('fma', flops), ('bytes', moved), key=lambda work: self.seconds(*work))


def add_floor(result, by, samples):
    """`samples`: what the least work of the case takes, in seconds."""
    result['floor_by'], result['floor_seconds'] = by, statistics.median(samples)
    result['floor_share'] = result['floor_seconds'] / result['seconds']
    result['best_share'] = min(samples) / min(result['samples'])
