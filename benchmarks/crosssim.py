"""CrossSim's analog core on a product: `python benchmarks/crosssim.py FOLDER ROUNDS CLOCK`.

Run by an interpreter that has CrossSim 3.2 (github.com/sandialabs/cross-sim), which esnsim does
not need. Reads matrix.npy (M, K) and patches.npy (K, windows), writes outputs.npy in units of
their product, prints the seconds of each round by a clock of the module `time`.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from simulator import AnalogCore, CrossSimParameters


def main() -> None:
    folder, rounds, clock = Path(sys.argv[1]), int(sys.argv[2]), getattr(time, sys.argv[3])
    matrix = np.load(folder / "matrix.npy").astype(np.float64)
    patches = np.load(folder / "patches.npy").astype(np.float64)
    largest = np.abs(matrix).max()
    p = CrossSimParameters()
    p.core.style = "BALANCED"
    p.core.rows_max, p.core.cols_max = 128, 128
    p.core.mapping.weights.min, p.core.mapping.weights.max = -largest, largest
    p.core.mapping.inputs.mvm.min, p.core.mapping.inputs.mvm.max = 0, 255
    p.xbar.device.cell_bits, p.xbar.device.infinite_on_off_ratio = 0, True
    p.xbar.dac.mvm.model, p.xbar.dac.mvm.bits, p.xbar.dac.mvm.signed = "QuantizerDAC", 8, False
    p.xbar.adc.mvm.model, p.xbar.adc.mvm.bits = "QuantizerADC", 8
    p.xbar.adc.mvm.adc_range_option = "MAX"
    core = AnalogCore(matrix, params=p)
    core.matmat(patches)
    seconds = []
    for _ in range(rounds):
        start = clock()
        outputs = core.matmat(patches)
        seconds.append(clock() - start)
    np.save(folder / "outputs.npy", outputs)
    print(json.dumps(seconds))


main()
