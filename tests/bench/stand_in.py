#!/usr/bin/env -S python3 -B
# Stands in for every program that tests/bench/run starts for a GPU, by the name it is called by:
# answers as server.h says, at once and with made-up numbers. SECONDS: of a step, by program.
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
NAME = pathlib.Path(sys.argv[0]).name


def ready(words):
    """The peer cudnn gives other numbers backward."""
    differs = NAME == 'cudnn_ops' and 'part=backward' in words
    assert 'device=cuda:0' in words or words == ['import_only'], words
    print(json.dumps({
        'check': [[1.0, 2.0, 9.0 if differs else 3.0]], 'wanted': [0], 'version': f'{NAME} 1.2',
        'nodes': 1, 'launches': 1, 'lower_bound_bytes': 900, 'moved_bytes': 1 << 28,
        'flops': 1e9, 'arena_bytes': ARENA_BYTES, 'state_bytes': STATE_BYTES}), flush=True)


def main():
    words = [word for word in sys.argv[1:] if not word.endswith('torch_steps.py')]
    if NAME == 'cuda_ceilings_bench':
        print(json.dumps(CEILINGS))
        return
    if words == ['--list']:
        print('softmax yes\ngelu yes')
        return
    if words:
        ready(words)
    for line in sys.stdin:
        asked = line.split()
        if asked[0] == 'load':
            ready(asked[1:])
        else:
            print(PEAK_BYTES[NAME] if asked[0] == 'memory' and NAME in PEAK_BYTES
                  else 7 if asked[0] == 'memory' else SECONDS[NAME] * int(asked[0]), flush=True)


if __name__ == '__main__':
    main()
