#!/usr/bin/env python3
"""Runs real cases with several engines and compares the outcomes.

    determinism.py CASE.json...

Each step of a case is run by Cranelift with a cold cache, by Cranelift with a warm one, and by Pulley,
each time in another directory, another time zone and another environment. `outcome_cid` and `fuel` must
be the same every time. CONFORMANCE_BINARY is the program to call.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

BINARY = os.environ.get("CONFORMANCE_BINARY", "mc-wasm")
RUNS = [("cranelift", "UTC"), ("cranelift", "Asia/Tokyo"), ("pulley", "America/New_York")]


def directories(case, step, work, scratch):
    """The directories of this machine that a step sees, with the guest's names for them."""
    root = case.get("guest_root", "/work")
    dirs = [(work, root)] if root else []
    dirs += [tuple(pair) for pair in step.get("ro_dirs", [])]
    if step.get("tmp"):
        os.makedirs(scratch + "/tmp", exist_ok=True)
        dirs.append((scratch + "/tmp", "/tmp"))
    return dirs


def run(case, engine, zone, cache):
    """The outcome and fuel of each step."""
    with tempfile.TemporaryDirectory() as scratch:
        work = scratch + "/work"
        shutil.copytree(case["work"], work, symlinks=True)
        outcomes = []
        for step in case["steps"]:
            command = [BINARY, "--quiet", "--format", "json", "run", "--engine", engine]
            for host, guest in directories(case, step, work, scratch):
                command += ["--dir", f"{host}::{guest}"]
            for name, value in step.get("env", {}).items():
                command += ["--env", f"{name}={value}"]
            if step.get("stdin"):
                command += ["--stdin", os.path.join(work, step["stdin"])]
            command += [step["wasm"], "--", *step.get("args", [])]
            environment = dict(os.environ, TZ=zone, MC_WASM_CACHE_DIR=cache, LANG=zone)
            done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, check=False)
            if not done.stdout:
                sys.exit(f"{case['name']}: {done.stderr.decode(errors='replace')}")
            job = json.loads(done.stdout)
            outcomes.append((job["outcome_cid"], job["fuel"], job["exit_code"]))
        return outcomes


def main():
    bad = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        with tempfile.TemporaryDirectory() as cache:
            os.chmod(cache, 0o700)
            results = [run(case, engine, zone, cache) for engine, zone in RUNS]
        same = all(result == results[0] for result in results)
        bad += not same
        fuel = sum(fuel for _, fuel, _ in results[0])
        print("same" if same else "DIFFERENT", case["name"], f"fuel={fuel}", *[r[-1][0] for r in results[: 1 if same else 3]])
    sys.exit(bad > 0)


main()
