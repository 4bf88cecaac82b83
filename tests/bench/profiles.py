# Where a server's time goes: perf's samples of its threads while it runs steps.
import os
import re
import signal
import subprocess

LINE = re.compile(r'^\s*([\d.]+)%\s+\[(.)\]\s+(.*\S)\s*$')
KEPT = 6


def top_functions(server, file):
    """[(function, share)] of the KEPT functions with most samples; empty where perf cannot run."""
    try:
        perf = subprocess.Popen(['perf', 'record', '-q', '-o', file, '-p', str(server.process.pid)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return []
    for _ in range(10):
        server.ask(server.steps)
    perf.send_signal(signal.SIGINT)
    perf.wait()
    if not os.path.exists(file):
        return []
    report = subprocess.run(['perf', 'report', '-i', file, '--stdio', '-q', '--no-children', '-F',
                             'overhead,symbol'], capture_output=True, text=True, check=False)
    shares = {}
    for found in filter(None, map(LINE.match, report.stdout.split('\n'))):
        name = short_name(found[3]) if found[2] == '.' else 'kernel'
        shares[name] = shares.get(name, 0.0) + 0.01 * float(found[1])
    return sorted(shares.items(), key=lambda item: -item[1])[:KEPT]


def short_name(symbol):
    """fornax::host::N_AVX3::tile<13, 2, false> -> host::tile: all instances are one."""
    if 'Worker::Worker' in symbol:
        return 'host::Worker (waits)'
    name = re.sub(r'\(anonymous namespace\)::|N_AVX\w*::|N_\w+::|fornax::', '', symbol)
    return re.sub(r'[<(].*$', '', name).strip()
