# Runs one case after another: ours and its peers in turns, checked for equal results before.
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

import ceilings
import profiles
from servers import (KEPT_PAGES, Failure, Server, check_equal, interleave, reason_of, spread)

HERE = pathlib.Path(__file__).resolve().parent
# Peers that are programs of the build: the program, where it runs, and the library that it needs.
PROGRAMS = {'onednn': ('onednn_layers', 'the CPU', 'libdnnl'),
            'cublaslt': ('cublaslt_layers', 'a GPU', 'cublasLt'),
            'cudnn': ('cudnn_ops', 'a GPU', 'cuDNN')}
TORCH_FORMS = {'torch.compile': 'compiled', 'torch.graph': 'captured'}  # words of torch_steps.py
PEERS = ('torch', *TORCH_FORMS, *PROGRAMS)
RANDOM = {'dropout'}      # other random numbers: only the means are the same
RANDOM_TOLERANCE = 0.01
CACHED_SAMPLE_SCALE = 0.1  # an op in the caches takes some microseconds
# A GPU's times are steadier than a CPU's, and no pool of threads spins after its steps.
GPU_SCALE, GPU_SETTLE_SCALE = 0.4, 0.1
GPU_WARM_SECONDS = 0.05     # within which a card that waited for a load raises its clocks
GPU_LONGEST_ANSWER = 150.0  # seconds
LARGEST_DATA = 1 << 30


def folder_in_memory(path='/dev/shm'):
    """Where inputs and initial values are handed over; None, the system's own choice, where `path`
    is absent or has little room."""
    there = pathlib.Path(path)
    return path if there.is_dir() and shutil.disk_usage(path).free >= LARGEST_DATA else None


def words_of(given):
    return [f'{key}={value}' for key, value in given.items()]


def library_folders(python):
    """{LD_LIBRARY_PATH: the caller's, then the folders of NVIDIA's libraries in the packages of
    `python`}: where a system has these in no folder of its own."""
    code = 'import glob, sys; print(*(f for p in sys.path for f in glob.glob(f"{p}/nvidia/*/lib")))'
    found = []
    if python:
        done = subprocess.run([python, '-c', code], capture_output=True, text=True, check=False)
        found = done.stdout.split() if done.returncode == 0 else []
    given = os.environ.get('LD_LIBRARY_PATH', '')
    return {'LD_LIBRARY_PATH': ':'.join(filter(None, [given, *found]))}


def check_same(case, ours, theirs):
    """The numbers of a peer are those of ours, as far as the case can have the same."""
    if case.words.get('name') in RANDOM:
        ours, theirs = ([group[:1] for group in numbers] for numbers in (ours, theirs))
        check_equal(ours, theirs, RANDOM_TOLERANCE)
    else:
        check_equal(ours, theirs)


class Bench:
    def __init__(self, options, build, measured, libraries=None):
        """`libraries`: environment in which programs of the build find those of the GPU."""
        self.options, self.build, self.measured = options, build, measured
        self.libraries = libraries or {}
        self.on_gpu = options.device.startswith('cuda')
        self.repeats, self.sample_seconds = (5, 0.02) if options.quick else (41, 0.03)
        self.absent, self.versions, self.import_bytes = {}, {}, 0
        self.lasting = {}  # processes that load case after case
        self.peers = [peer for peer in options.peers.split(',') if peer]
        self._find_torch()
        self._find_programs()

    def _absent(self, peer, reason):
        self.absent[peer] = reason
        self.peers.remove(peer)

    def _find_programs(self):
        here = {'cpu': 'the CPU', 'cuda': 'a GPU'}.get(self.options.device.partition(':')[0])
        for peer in [peer for peer in self.peers if peer in PROGRAMS]:
            program, where, library = PROGRAMS[peer]
            if where != here:
                self._absent(peer, f'it runs on {where}')
            elif not (self.build / 'tests' / program).exists():
                self._absent(peer, f'{library} was not found when the build was configured')
            else:
                self._open(peer)

    def _open(self, peer):
        """Whether its program starts: its libraries may be on another machine only."""
        done = subprocess.run(self._program(peer, ''), input='', text=True, capture_output=True,
                              check=False, env={**os.environ, **self.libraries})
        if done.returncode != 0:
            self._absent(peer, f'it does not start: {reason_of(done.stderr) or done.returncode}')

    def _find_torch(self):
        """A process with the imports alone: its memory is not a step's."""
        if 'torch.graph' in self.peers and not self.on_gpu:
            self._absent('torch.graph', 'it runs on a GPU')
        wanted = [peer for peer in self.peers if peer.startswith('torch')]
        if not wanted:
            return
        reason = '--python or FORNAX_BENCH_PYTHON names no Python'
        if self.options.python:
            try:
                server = self._start('torch', ['import_only'], '',
                                     KEPT_PAGES if self.on_gpu else None).read_ready()
                self.versions['torch'] = server.ready['version']
                self.import_bytes = server.ask('memory')
                if self.on_gpu:  # imports take long, and its memory is not that of the host
                    self.lasting['torch', True] = server
                else:
                    server.close()
                return
            except (Failure, OSError) as failure:
                reason = str(failure)
        for peer in wanted:
            self._absent(peer, reason)

    def _program(self, side, kind):
        if side.startswith('torch'):
            return [self.options.python, HERE / 'peers' / 'torch_steps.py']
        if side in PROGRAMS:
            return [self.build / 'tests' / PROGRAMS[side][0]]
        return [self.build / 'tests' / ('op_bench' if kind == 'op' else 'steps_bench')]

    def _start(self, side, words, kind='', more_environment=None):
        environment = {'FORNAX_MODULE_DIR': str(self.build), **(more_environment or {}),
                       **({} if side.startswith('torch') else self.libraries)}
        server = Server(self._program(side, kind) + words, self.options.threads, environment)
        if self.on_gpu:
            server.settle_seconds *= GPU_SETTLE_SCALE
            server.warm_seconds = GPU_WARM_SECONDS
            server.longest_answer = GPU_LONGEST_ANSWER
        return server

    def _is_fresh(self, case):
        """Processes of its own; where memory is a GPU's only what is timed from its start."""
        return case.kind == 'start' if self.on_gpu else case.fresh

    def _words(self, side, case, data, more=None):
        threads = case.words.get('threads', self.options.threads)
        device = self.options.device
        if side == 'ours' and device == 'cpu':
            device = f'cpu:{threads}'
        given = {**case.words, 'device': device, 'threads': threads, 'data': data, **(more or {})}
        if side in TORCH_FORMS:
            given[TORCH_FORMS[side]] = 1
        return words_of(given)

    def _load(self, side, case, data, more=None):
        """The case in a process of its own, or in one that lasts."""
        words = self._words(side, case, data, more)
        kind = case.server_kind()
        if self._is_fresh(case):
            return self._start(side, [kind, *words], kind).read_ready()
        keep = side != 'ours' and (self.on_gpu or case.kind != 'network')
        key = (side, kind == 'op' if side == 'ours' else keep)
        if key not in self.lasting:
            self.lasting[key] = self._start(side, [], kind, KEPT_PAGES if keep else None)
        try:
            return self.lasting[key].load(kind, words)
        except Failure:
            self.lasting.pop(key).close()
            raise

    def close(self):
        for server in self.lasting.values():
            server.close()

    def run(self, case):
        with tempfile.TemporaryDirectory(dir=folder_in_memory()) as folder:
            data = str(pathlib.Path(folder) / 'initial.safetensors')
            try:
                if case.kind == 'start':
                    return self._run_start(case, data)
                return self._run_steps(case, data)
            except Failure:
                self._drop_ended()
                raise

    def _drop_ended(self):
        for key, server in list(self.lasting.items()):
            if server.process.poll() is not None:
                self.lasting.pop(key).close()

    def _peers(self, case, ours, data, failures):
        """The peers of a case that give the numbers of ours."""
        servers = {}
        for peer in [peer for peer in self.peers if peer in case.peers]:
            more = {}
            if ours.ready.get('wanted'):
                more['wanted'] = ','.join(f'{i:g}' for i in ours.ready['wanted'])
            try:
                server = self._load(peer, case, data, more)
                check_same(case, ours.ready['check'], server.ready['check'])
                server.ask(1)  # what fails after the load is a failure of this peer, too
                servers[peer] = server
                if peer in PROGRAMS:
                    self.versions[peer] = server.ready['version']
            except Failure as failure:
                failures[peer] = str(failure)
                self._drop_ended()
        return servers

    def _ceiling(self, by, work):
        """A server whose steps are a floor of a case: it takes turns with ours, since the machine
        is not as quick at all times."""
        key = f'ceiling by {by}'
        if key not in self.lasting:
            self.lasting[key] = self._start('ceiling', [])
        beside = by == ceilings.BESIDE
        words = {'by': 'bytes' if by == 'bytes' or beside else 'fma',
                 'operations': f'{beside * work.operations:.0f}',
                 'quotients': f'{beside * work.quotients:.0f}',
                 'flops': f'{ceilings.fma_flops(by, work):.0f}', 'read': f'{work.read:.0f}',
                 'written': f'{work.written:.0f}', 'in_place': int(work.in_place),
                 'threads': self.options.threads}
        server = self.lasting[key].load('ceiling', words_of(words))
        if words['by'] == 'bytes':
            ceilings.check_touched(work, server.ready['check'])
        return server

    def _cached(self, case):
        """A server of the same op on so few rows that they stay in the caches of one thread, if it
        can be made so small: what of an op's time is its arithmetic."""
        if case.kind != 'op' or self.options.device != 'cpu':
            return []
        if 'cached' not in self.lasting:
            self.lasting['cached'] = self._start('ours', [], 'op')
        words = {**case.words, 'device': 'cpu:1', 'threads': 1, 'cached': 1}
        server = self.lasting['cached'].load('op', words_of(words))
        server.sample_scale = CACHED_SAMPLE_SCALE
        return [server] if server.ready.get('fraction', 1.0) > 0 else []

    def _run_steps(self, case, data):
        failures = {}
        ours = self._load('ours', case, data)
        servers = self._peers(case, ours, data, failures)
        work = case.work(ours.ready)
        floors = self.measured.floors(work)
        ceiling = {by: self._ceiling(by, work) for by in floors} if not self.on_gpu else {}
        cached = self._cached(case)
        everyone = [ours, *ceiling.values(), *cached, *servers.values()]
        scale = GPU_SCALE if self.on_gpu else 1.0
        interleave(everyone, self.repeats, scale * self.sample_seconds, scale * case.seconds)
        result = self._result(case, ours, {p: s.samples for p, s in servers.items()})
        if floors:
            ceilings.add_floor(result, {by: ceiling[by].samples if ceiling else [seconds]
                                        for by, seconds in floors.items()})
            result['in_place'] = work.in_place
        for server in cached:
            parts = server.ready.get('fraction', 1.0) * self.options.threads
            result['cached_seconds'] = statistics.median(server.samples) / parts
        result['peak_bytes'] = ours.ask('memory')
        if self.on_gpu:
            result['peak_bytes'] = ours.ready['arena_bytes'] + ours.ready['state_bytes']
        for peer, server in servers.items():
            imports = self.import_bytes if self._is_fresh(case) else 0
            result['peers'][peer]['peak_bytes'] = server.ask('memory') - imports
        if self.options.profile and self._is_fresh(case):
            result['profile'] = profiles.top_functions(ours, f'{data}.perf')
        if self._is_fresh(case):
            for server in [ours, *servers.values()]:
                server.close()
        result['failures'] = failures
        return result

    def _run_start(self, case, data):
        """Whole processes: from the start until the numbers of the first step are there."""
        self._load('ours', case, data).close()
        samples = {'ours': []}
        for _ in range(3 if self.options.quick or self.on_gpu else 7):
            ours = self._load('ours', case, '')
            samples['ours'].append(ours.ready_seconds)
            ours.close()
            for peer in [peer for peer in self.peers if peer in case.peers]:
                server = self._load(peer, case, data)
                samples.setdefault(peer, []).append(server.ready_seconds)
                server.close()
        ours.samples = samples.pop('ours')
        return self._result(case, ours, samples)

    def _result(self, case, ours, peers):
        work = case.work(ours.ready)
        result = {'case': case.name, 'group': case.group,
                  'seconds': statistics.median(ours.samples), 'spread': spread(ours.samples),
                  'samples': ours.samples, 'flops': work.flops,
                  'operations': work.operations, 'bytes': work.bytes,
                  'read_bytes': work.read, 'write_bytes': work.written,
                  'plan': {key: value for key, value in ours.ready.items() if key != 'check'},
                  'limits': {key: getattr(case, key) for key in
                             ('least_share', 'most_memory', 'most_seconds') if getattr(case, key)},
                  'peers': {}}
        if case.axis:
            result['axis'], result['at'] = case.axis
        for peer, samples in peers.items():
            median = statistics.median(samples)
            result['peers'][peer] = {
                'seconds': median, 'spread': spread(samples), 'samples': samples,
                'ratio': median / result['seconds'],
                'best_ratio': min(samples) / min(ours.samples),
                'target': case.targets.get(peer)}
        return result
