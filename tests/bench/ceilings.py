# What the machine can do at most, measured before and beside the cases, and the floors from it.
import json
import subprocess
import time

from servers import environment

FRESH_SECONDS = 15  # a measurement of that age still speaks for a case


class Ceilings:
    """`values`: isa; fma_gflops by number of threads, or of the "device"; traffic_gbytes by the
    bytes that are resident; of a GPU also bf16_gemm_gflops. The best of all measurements."""

    def __init__(self, folder, device, threads):
        self._device, self._threads = device, threads
        on_gpu = device.startswith('cuda')
        self._command = [folder / 'tests' / ('cuda_ceilings_bench' if on_gpu else 'ceilings_bench'),
                         device.partition(':')[2] or '0' if on_gpu else str(threads)]
        self._key = 'device' if on_gpu else str(threads)
        self._measured_at = {}  # by size
        self.values = self._measure([])

    def _measure(self, sizes):
        done = subprocess.run([*self._command, *map(str, sizes)], check=True, text=True,
                              capture_output=True, env=environment(self._threads))
        return json.loads(done.stdout)

    def fma_gflops(self):
        return self.values['fma_gflops'][self._key]

    def measure_beside(self, result):
        """Again after a case, so that ceilings and case met the same weather."""
        if not result['bytes']:
            return
        size = traffic_size(result['bytes'])
        if time.monotonic() < self._measured_at.get(size, -FRESH_SECONDS) + FRESH_SECONDS:
            return
        now = self._measure([size])
        self._measured_at[size] = time.monotonic()
        for key in ('fma_gflops', 'traffic_gbytes'):
            for name, rate in now[key].items():
                self.values[key][name] = max(rate, self.values[key].get(name, 0.0))

    def add_floor(self, result):
        if not result['bytes']:
            return
        rate = self.values['traffic_gbytes'][str(traffic_size(result['bytes']))]
        arithmetic = result['flops'] / (1e9 * self.fma_gflops())
        traffic = result['bytes'] / (1e9 * rate)
        result['floor_seconds'] = max(arithmetic, traffic)
        result['floor_by'] = 'fma' if arithmetic > traffic else 'bytes'
        result['floor_share'] = result['floor_seconds'] / result['seconds']


def traffic_size(moved):
    """What the bandwidth is measured with, a power of two: small steps live in caches."""
    size = 4096
    while 2 * size <= moved and size < 256 << 20:
        size *= 2
    return size
