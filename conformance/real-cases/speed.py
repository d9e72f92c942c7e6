#!/usr/bin/env python3
"""Compares `mc-wasm run` with the wasmtime command line on real cases, warm, side by side.

    speed.py --wasmtime PATH CASE.json...

The first step of each case is run in turn by wasmtime as it comes (with its cache), by wasmtime with
canonical NaNs, by wasmtime with canonical NaNs and fuel, and by mc-wasm, which always has both. Prints
medians in milliseconds and the ratios of mc-wasm to each. CONFORMANCE_BINARY is mc-wasm.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 9
BINARY = os.environ.get("CONFORMANCE_BINARY", "mc-wasm")
NAN = ["-W", "nan-canonicalization=y"]
FUEL = ["-W", "fuel=1000000000000000"]


def run(program, case):
    """Seconds of one run."""
    step = case["steps"][0]
    with tempfile.TemporaryDirectory() as scratch:
        work = scratch + "/work"
        shutil.copytree(case["work"], work, symlinks=True)
        root = case.get("guest_root", "/work")
        dirs = ([(work, root)] if root else []) + [tuple(d) for d in step.get("ro_dirs", [])]
        command = list(program)
        for host, guest in dirs:
            command += ["--dir", f"{host}::{guest}"]
        for name, value in step.get("env", {}).items():
            command += ["--env", f"{name}={value}"]
        command += [step["wasm"]]
        command += ["--"] if program[0] == BINARY else []
        command += step.get("args", [])
        stdin = open(os.path.join(work, step["stdin"]), "rb") if step.get("stdin") else subprocess.DEVNULL
        begun = time.perf_counter()
        done = subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        took = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"{command}: {done.stderr.decode(errors='replace')}")
        return took


def main():
    arguments = sys.argv[1:]
    if arguments[:1] != ["--wasmtime"] or len(arguments) < 3:
        sys.exit(__doc__)
    wasmtime = [arguments[1], "run", "-C", "cache=y"]
    programs = {
        "wasmtime": wasmtime,
        "nan": wasmtime + NAN,
        "nan_fuel": wasmtime + NAN + FUEL,
        "mc_wasm": [BINARY, "--quiet", "run"],
    }
    result = {}
    for path in arguments[2:]:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        times = {name: [] for name in programs}
        for turn in range(RUNS + 1):
            for name, program in programs.items():
                took = run(program, case)
                if turn:
                    times[name].append(took)
        median = {name: statistics.median(values) * 1000 for name, values in times.items()}
        row = {f"{name}_ms": round(value, 1) for name, value in median.items()}
        for name in ("wasmtime", "nan", "nan_fuel"):
            row[f"ratio_{name}"] = round(median["mc_wasm"] / median[name], 2)
        result[case["name"]] = row
    print(json.dumps(result, indent=1))


main()
