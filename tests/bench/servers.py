# Processes that run steps on demand, and how they are timed against each other.
import json
import os
import statistics
import subprocess
import time

LONGEST_SECONDS = 12     # of one case
SETTLE_SECONDS = 0.02    # a pool that spins after its last step must not disturb the next server


class Failure(Exception):
    """A server that ended early or that gives other numbers than ours."""


def environment(threads):
    """The caller's environment, with the same threads for every library and without settings that
    make OpenBLAS choose kernels of another processor."""
    values = {name: value for name, value in os.environ.items()
              if name not in ('OPENBLAS_CORETYPE', 'OPENBLAS_L2_SIZE')}
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS',
                 'FORNAX_NUM_THREADS'):
        values[name] = str(threads)
    return values


class Server:
    """One process that answers "N" with the seconds of N steps."""

    def __init__(self, command, threads):
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        env=environment(threads))
        self.ready = json.loads(self._line())
        self.ready_seconds = time.perf_counter() - begin
        self.steps = 1
        self.samples = []

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            error = self.process.stderr.read().strip().split('\n')[-1]
            raise Failure(f'{" ".join(self.process.args[:3])}: {error or "ended early"}')
        return line

    def ask(self, text):
        self.process.stdin.write(f'{text}\n')
        self.process.stdin.flush()
        return float(self._line())

    def calibrate(self, seconds):
        """Warms up for about `seconds`, then sets the steps of one sample to last as long."""
        spent, steps = 0.0, 1
        while spent < seconds:
            taken = self.ask(steps)
            spent += taken
            self.steps = max(1, round(steps * seconds / max(taken, 1e-9)))
            steps = min(self.steps, 4 * steps)

    def sample(self):
        time.sleep(SETTLE_SECONDS)
        self.samples.append(self.ask(self.steps) / self.steps)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


def interleave(servers, repeats, seconds):
    """Takes turns; servers of long steps are asked fewer times, but never less than five."""
    for server in servers:
        server.calibrate(seconds)
        server.sample()
    round_seconds = sum(server.samples[0] * server.steps for server in servers)
    for _ in range(max(5, min(repeats, int(LONGEST_SECONDS / round_seconds))) - 1):
        for server in servers:
            server.sample()


def check_equal(ours, theirs, tolerance=1e-4):
    """The same work gives the same numbers; small ones are judged by the largest."""
    scale = max((abs(value) for value in ours), default=0.0)
    if len(ours) != len(theirs):
        raise Failure(f'{len(ours)} numbers here, {len(theirs)} there')
    for a, b in zip(ours, theirs):
        if not abs(a - b) <= tolerance * max(abs(a), 1e-3 * scale):
            raise Failure(f'{a!r} here, {b!r} there: more than {tolerance} apart')


def spread(samples):
    """Distance of the quartiles over the median."""
    if len(samples) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(samples, n=4)
    return (high - low) / middle
