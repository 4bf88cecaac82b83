#!/usr/bin/env -S python3 -B
# Stands in for every program that tests/bench/run starts, by the name it is called by: answers as
# server.h says, at once and with made-up numbers. SECONDS: of a step, by program. On the CPU of two
# threads that of a ceiling and of an op in the caches differ.
import json
import pathlib
import sys

SECONDS = {'steps_bench': 1e-3, 'op_bench': 1e-3, 'python': 2e-3, 'cublaslt_layers': 5e-4,
           'cudnn_ops': 4e-3}
PEAK_BYTES = {'python': 3000, 'cublaslt_layers': 2500, 'cudnn_ops': 2500}
ARENA_BYTES, STATE_BYTES = 1000, 500
CEILINGS = {'name': 'a card', 'isa': 'sm_90', 'fma_gflops': {'device': 50000.0},
            'bf16_gemm_gflops': 600000.0,
            'traffic_gbytes': {'1048576': 9000.0, '268435456': 3000.0}}
CPU_CEILINGS = {'isa': 'avx2', 'fma_gflops': {'1': 100.0, '2': 200.0},
                'traffic_gbytes': {'1048576': 90.0, '268435456': 30.0},
                'read_gbytes': {'1048576': 80.0, '268435456': 20.0},
                'write_gbytes': {'1048576': 70.0, '268435456': 10.0}}
CEILING_SECONDS, CACHED_SECONDS, CACHED_FRACTION = 5e-4, 9e-6, 0.005
READ_BYTES, WRITE_BYTES = 3 << 26, 1 << 26
NAME = pathlib.Path(sys.argv[0]).name


def ready(words):
    """Gives the seconds of a step. The peer cudnn gives other numbers backward; gelu has no form
    in the caches."""
    given = dict(word.split('=', 1) for word in words if '=' in word)
    check = [[1.0, 2.0, 9.0 if NAME == 'cudnn_ops' and given['part'] == 'backward' else 3.0]]
    seconds, more = SECONDS[NAME], {}
    if words[0] == 'ceiling':
        seconds, check = CEILING_SECONDS, [[float(given['read'])], [float(given['written'])]]
    elif 'cached' in given:
        assert given['device'] == 'cpu:1' and given['threads'] == '1', words
        seconds = CACHED_SECONDS
        more = {'fraction': 0 if given['name'] == 'gelu' else CACHED_FRACTION}
    else:
        assert given.get('device') in ('cuda:0', 'cpu', 'cpu:2') or words == ['import_only'], words
    print(json.dumps({
        'check': check, 'wanted': [0], 'version': f'{NAME} 1.2',
        'nodes': 1, 'launches': 1, 'lower_bound_bytes': 900,
        'moved_bytes': READ_BYTES + WRITE_BYTES, 'read_bytes': READ_BYTES,
        'write_bytes': WRITE_BYTES, 'flops': 1e9,
        'arena_bytes': ARENA_BYTES, 'state_bytes': STATE_BYTES, **more}), flush=True)
    return seconds


def main():
    words = [word for word in sys.argv[1:] if not word.endswith('torch_steps.py')]
    if NAME in ('cuda_ceilings_bench', 'ceilings_bench'):
        print(json.dumps(CEILINGS if NAME == 'cuda_ceilings_bench' else CPU_CEILINGS))
        return
    if words == ['--list']:
        print('softmax yes\ngelu yes')
        return
    seconds = ready(words) if words else 0.0
    for line in sys.stdin:
        asked = line.split()
        if asked[0] == 'load':
            seconds = ready(asked[1:])
        else:
            print(PEAK_BYTES[NAME] if asked[0] == 'memory' and NAME in PEAK_BYTES
                  else 7 if asked[0] == 'memory' else seconds * int(asked[0]), flush=True)


if __name__ == '__main__':
    main()
