"""Times one model in one engine, on command. Runs under any Python from 3.7, so that MindSpore Lite can take part.

Arguments: ENGINE (lite_runtime or mindspore_lite) MODEL THREADS. Every line "N" on standard input runs the model N
times and answers with a line of JSON: {"wall": [...], "cpu": [...]}, seconds of elapsed and of process CPU time each.
Inputs are standard normal numbers, the same for every engine.
"""

import importlib
import json
import sys
import time

import numpy as np


def main(engine, path, threads):
    mslite = importlib.import_module(engine)
    context = mslite.Context()
    context.target = ["cpu"]
    context.cpu.thread_num = int(threads)
    model = mslite.Model()
    model.build_from_file(path, mslite.ModelType.MINDIR_LITE, context)
    random = np.random.RandomState(0)
    inputs = model.get_inputs()
    for tensor in inputs:
        tensor.set_data_from_numpy(random.standard_normal(tensor.shape).astype(np.float32))
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        wall, cpu = [], []
        for _ in range(int(line)):
            cpu_start, start = time.process_time(), time.perf_counter()
            model.predict(inputs)
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
        print(json.dumps({"wall": wall, "cpu": cpu}), flush=True)


main(*sys.argv[1:])
