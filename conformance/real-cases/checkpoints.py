#!/usr/bin/env python3
"""Stops real cases at random positions and goes on with them in new processes.

    checkpoints.py POSITIONS CASE.json...

The first step of each case is run once without a stop. Then, for each position, it is run until there by one
engine and from there by the other, Cranelift and Pulley in turn, each in a process and a directory of its
own. `outcome_cid` and `fuel` must be those of the run that was not stopped. CONFORMANCE_BINARY is the
program to call.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

BINARY = os.environ.get("CONFORMANCE_BINARY", "mc-wasm")
ENGINES = ["cranelift", "pulley"]


def call(arguments):
    done = subprocess.run([BINARY, "--quiet", "--format", "json"] + arguments, capture_output=True, check=False)
    lines = done.stdout.decode(errors="replace").splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr.decode(errors="replace")


class Step:
    """The first step of a case, in a directory of its own."""

    def __init__(self, case, scratch):
        self.step = case["steps"][0]
        self.work = scratch + "/work"
        shutil.copytree(case["work"], self.work, symlinks=True)
        root = case.get("guest_root", "/work")
        dirs = [(self.work, root)] if root else []
        dirs += [tuple(pair) for pair in self.step.get("ro_dirs", [])]
        if self.step.get("tmp"):
            os.makedirs(scratch + "/tmp", exist_ok=True)
            dirs.append((scratch + "/tmp", "/tmp"))
        self.given = []
        for host, guest in dirs:
            self.given += ["--dir", f"{host}::{guest}"]
        if self.step.get("stdin"):
            self.given += ["--stdin", os.path.join(self.work, self.step["stdin"])]

    def run(self, extra):
        env = []
        for name, value in self.step.get("env", {}).items():
            env += ["--env", f"{name}={value}"]
        return call(["run"] + extra + self.given + env + [self.step["wasm"], "--"] + self.step.get("args", []))

    def resume(self, snapshot, extra):
        return call(["resume", snapshot] + extra + self.given)


def whole(case):
    with tempfile.TemporaryDirectory() as scratch:
        _, view, errors = Step(case, scratch).run([])
        if "outcome_cid" not in view:
            sys.exit(errors)
        return view["outcome_cid"], view["fuel"]


def stopped(case, position, number):
    with tempfile.TemporaryDirectory() as scratch:
        step = Step(case, scratch)
        snapshot = scratch + "/snapshot"
        stop = ["--checkpoint-at", str(position), "-o", snapshot]
        _, view, errors = step.run(["--engine", ENGINES[number % 2]] + stop)
        if not os.path.exists(snapshot):
            # It had ended before the next place where it could be stopped.
            return view.get("outcome_cid"), view.get("fuel"), errors
        _, view, errors = step.resume(snapshot, ["--engine", ENGINES[(number + 1) % 2]])
        return view.get("outcome_cid"), view.get("fuel"), errors


def main():
    positions, paths = int(sys.argv[1]), sys.argv[2:]
    choose = random.Random(int(os.environ.get("SEED", "1")))
    failed = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
        case.setdefault("name", os.path.basename(os.path.dirname(path)))
        begun = time.monotonic()
        outcome, fuel = whole(case)
        same = 0
        for number in range(positions):
            position = choose.randrange(fuel)
            got = stopped(case, position, number)
            if got[:2] == (outcome, fuel):
                same += 1
            else:
                failed += 1
                print(f"{case['name']} at {position}: {got}", file=sys.stderr)
        took = time.monotonic() - begun
        print(f"{case['name']}: {same} of {positions} positions, fuel {fuel}, {took:.0f} s", flush=True)
    sys.exit(failed > 0)


main()
