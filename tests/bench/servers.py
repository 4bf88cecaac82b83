# Processes that run steps on demand, and how they are timed against each other.
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time

EXCEPTION = re.compile(r'[\w.]+(Error|Exception): ')
SETTLE_SECONDS = 0.02    # a pool that spins after its last step must not disturb the next server


class Failure(Exception):
    """A server that ended early or that gives other numbers than ours."""


def reason_of(errors):
    """The line that names an exception of Python, which may say more below; else the last line."""
    lines = errors.strip().split('\n')
    return next((line for line in reversed(lines) if EXCEPTION.match(line)), lines[-1])


def environment(threads):
    """The caller's environment, with the same threads for every library and without settings that
    make OpenBLAS choose kernels of another processor. NVIDIA's libraries compute f32 as such."""
    values = {name: value for name, value in os.environ.items()
              if name not in ('OPENBLAS_CORETYPE', 'OPENBLAS_L2_SIZE')}
    values['NVIDIA_TF32_OVERRIDE'] = '0'
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS',
                 'FORNAX_NUM_THREADS'):
        values[name] = str(threads)
    return values


# Memory that was freed stays with the process, so that no step pays for fresh pages.
KEPT_PAGES = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': str(1 << 40)}


class Server:
    """One process that loads cases and answers "N" with the seconds of N steps (server.h)."""

    def __init__(self, command, threads, more_environment=None):
        self.begin = time.perf_counter()
        self.errors = tempfile.TemporaryFile('w+')  # a pipe that nobody reads would fill
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**environment(threads), **(more_environment or {})})
        self.ready, self.ready_seconds = {}, 0.0
        self.steps, self.samples = 1, []
        self.sample_scale = 1.0  # of the time that one sample of the others takes
        self.settle_seconds = SETTLE_SECONDS
        self.warm_seconds = 0.0  # of steps before the first sample, at least
        self.longest_answer = None  # seconds, after which the process is ended

    def _line(self):
        watch = threading.Timer(self.longest_answer or 0.0, self.process.kill)
        if self.longest_answer:
            watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise Failure(reason_of(self.errors.read()) or f'{self.process.args[0]} ended early, '
                          f'status {self.process.returncode}')
        return line

    def _send(self, text):
        try:
            self.process.stdin.write(f'{text}\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the reason comes with the missing answer

    def read_ready(self):
        """The case of the command line, or that of load()."""
        self.ready = json.loads(self._line())
        self.ready_seconds = time.perf_counter() - self.begin
        self.steps, self.samples = 1, []
        return self

    def load(self, kind, words):
        self._send(' '.join(['load', kind, *words]))
        return self.read_ready()

    def ask(self, text):
        self._send(text)
        return float(self._line())

    def calibrate(self, seconds):
        """Warms up for about `seconds`, at least, then sets the steps of a sample to last as
        long."""
        spent, steps = 0.0, 1
        while spent < max(seconds, self.warm_seconds):
            taken = self.ask(steps)
            spent += taken
            self.steps = max(1, round(steps * seconds / max(taken, 1e-9)))
            steps = min(self.steps, 4 * steps)

    def sample(self):
        time.sleep(self.settle_seconds)
        self.samples.append(self.ask(self.steps) / self.steps)

    def close(self):
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):  # what a process that ended did not read
                stream.close()
        self.process.wait()


def interleave(servers, repeats, sample_seconds, seconds):
    """Takes turns until about `seconds` have passed, `repeats` times at most and five at least."""
    for server in servers:
        server.calibrate(server.sample_scale * sample_seconds)
        server.sample()
    turn = sum(server.samples[0] * server.steps + server.settle_seconds for server in servers)
    for _ in range(max(5, min(repeats, int(seconds / turn))) - 1):
        for server in servers:
            server.sample()


def check_equal(ours, theirs, tolerance=1e-4, small=0.1):
    """The same work gives the same numbers. Each group is a result's; numbers below `small` times
    the largest of their group are judged by that. They are sums whose terms cancel: one f32 chain
    of 65536 products of normal numbers is about 200 and off by 6e-4, at times by 4e-3."""
    if [len(group) for group in ours] != [len(group) for group in theirs]:
        raise Failure(f'{sum(map(len, ours))} numbers here, {sum(map(len, theirs))} there')
    for group, (mine, others) in enumerate(zip(ours, theirs)):
        scale = small * max(map(abs, mine), default=0.0)
        for at, (a, b) in enumerate(zip(mine, others)):
            if not abs(a - b) <= tolerance * max(abs(a), scale):
                raise Failure(f'number {at} of result {group} is {a!r} here and {b!r} there: more '
                              f'than {tolerance} apart')


def spread(samples):
    """Distance of the quartiles over the median."""
    if len(samples) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(samples, n=4)
    return (high - low) / middle
