#!/usr/bin/env python3
"""Runs the programs for preview 1 of WebAssembly/wasi-testsuite as they are.

    wasi_testsuite.py CHECKOUT [BINARY]

CHECKOUT is a working tree of its branch `prod/testsuite-base`, which has the compiled programs. Each is run with the
arguments, variables and directory that its description names, in a fresh copy of that directory. BINARY, or else
CONFORMANCE_BINARY, is the program to call; CONFORMANCE_RUN_ARGS are more options for its `run`, such as
`--engine pulley`. Prints what did not come out as described, and how many did. Fails if that is any other than those of
which it is known why (KNOWN; conformance/SPECIFICATION.md, "The guest's world"), or if one of those passes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import suites

OPTIONS = os.environ.get("CONFORMANCE_RUN_ARGS", "").split()
LANGUAGES = ["assemblyscript", "c", "rust"]
SECONDS = 120
# Those that make no sense here, with the reason.
KNOWN = {
    "c/sock_shutdown-invalid_fd": "takes descriptor 3 for one that is not open; here it is the root, so it is no socket",
}


def programs(checkout):
    """Each program with its name and its description."""
    for language in LANGUAGES:
        folder = checkout / "tests" / language / "testsuite" / "wasm32-wasip1"
        for program in sorted(folder.glob("*.wasm")):
            description = program.with_suffix(".json")
            said = json.loads(description.read_text(encoding="utf-8")) if description.exists() else {}
            yield f"{language}/{program.stem}", program, said


def wrong(binary, program, said):
    """What did not come out as it was described."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [binary, "--quiet", "run", *OPTIONS]
        for name, value in said.get("env", {}).items():
            command += ["--env", f"{name}={value}"]
        if said.get("root"):
            shutil.copytree(program.parent / said["root"], scratch + "/root")
            command += ["--dir", "root::/"]
        command += [str(program), "--", *said.get("args", [])]
        try:
            done = subprocess.run(
                command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"runs for more than {SECONDS} s"
        found = []
        expected = said.get("exit_code", 0)
        if done.returncode != expected:
            found.append(f"exit code {done.returncode}, not {expected}: {done.stderr.decode(errors='replace').strip()}")
        for stream, got in [("stdout", done.stdout), ("stderr", done.stderr)]:
            if stream in said and got.decode(errors="replace") != said[stream]:
                found.append(f"{stream}: {got!r}")
        return "; ".join(found)


def main():
    checkout, binary = suites.arguments(__doc__)
    counts = dict.fromkeys(LANGUAGES, 0)
    passed, surprises = dict(counts), 0
    for name, program, said in programs(checkout):
        language = name.split("/")[0]
        counts[language] += 1
        reason = wrong(binary, program, said)
        passed[language] += not reason
        if reason:
            print(f"{name}: {reason}")
        if reason and name in KNOWN:
            print(f"  is known: {KNOWN[name]}")
        elif reason or name in KNOWN:
            surprises += 1
            print("  was not expected" if reason else f"{name} passes, and was not expected to")
    for language in LANGUAGES:
        print(f"{language}: {passed[language]} of {counts[language]}")
    print(f"all: {sum(passed.values())} of {sum(counts.values())}, {surprises} surprises")
    sys.exit(surprises > 0 or sum(counts.values()) == 0)


main()
