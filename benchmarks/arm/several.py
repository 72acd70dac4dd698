"""several.py FOLDER_OF_THE_REPOSITORY MODEL INPUTS.npz [MODEL INPUTS.npz ...]: runs models under emulation.

Prints the difference of each to its expected output, as worker.py does. Calls getppid before and after a run of each,
the second one, by which the plugin that counts instructions knows where it begins and ends.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np


def main(root: str, *files: str) -> None:
    sys.path[:1] = [root]
    import lite_runtime
    from benchmarks.runners.lite_runtime import LiteRuntime
    from benchmarks.worker import difference

    errors = []
    for path, examples in zip(files[::2], files[1::2]):
        inputs = dict(np.load(examples))
        expected = inputs.pop("y")
        runner = LiteRuntime(lite_runtime, path, 1)
        runner.set_inputs(inputs)
        runner.run()
        os.getppid()
        runner.run()
        os.getppid()
        errors.append(difference(runner.output(), expected))
    print(json.dumps(errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
