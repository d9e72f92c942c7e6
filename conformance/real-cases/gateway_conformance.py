#!/usr/bin/env python3
"""Runs the trustless part of ipfs/gateway-conformance as it is against a node.

    gateway_conformance.py CHECKOUT [BINARY]

CHECKOUT is a working tree of the suite, which `go` on the path builds. BINARY, or else CONFORMANCE_BINARY, is the program
to call: a node of it is started, given the suite's fixtures as CARs, asked by the suite, and ended. Prints which cases of
which tests failed, and how many passed; SPECS names what of the suite is run. Fails if a case fails of which it is not
known why (KNOWN), or if one of those passes.
"""

import collections
import json
import os
import subprocess
import sys
import tempfile
import threading

import suites

SPECS = os.environ.get("SPECS", "trustless-gateway,path-raw-gateway")
# Tests that make no sense here, with the reason.
KNOWN = {"TestGatewayIPNSRecord": "a node has no records of names (IPNS): /ipns is 404"}


def start(binary, home):
    """A node that nobody else talks to, and the address of its API."""
    command = [binary, "--data-dir", home, "node", "--no-execute", "--no-mdns", "--dht", "client"]
    command += ["--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"]
    node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    for line in node.stdout:
        said += line
        name, _, value = line.partition(" ")
        if name == "API":
            # What it says later fills no pipe.
            threading.Thread(target=node.stdout.read, daemon=True).start()
            return node, value.strip()
    sys.exit(f"the node did not start: {said}")


def load(binary, home, api, checkout):
    """Stores the fixtures. Some lack blocks on purpose, so that nothing can pin them."""
    for car in sorted((checkout / "fixtures").rglob("*.car")):
        command = [binary, "--data-dir", home, "--node", api, "--quiet", "car", "import", "--no-pin", str(car)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def endings(checkout, api):
    """How each test of the suite and each part of one ended."""
    command = ["go", "test", "-json", "-count=1", "./tests", f"-specs={SPECS}", "-timeout=10m"]
    environment = dict(os.environ, GATEWAY_URL=api)
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    ended = {}
    for line in done.stdout.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("Test") and event["Action"] in ("pass", "fail"):
            ended[event["Test"]] = event["Action"] == "pass"
    return ended


def main():
    checkout, binary = suites.arguments(__doc__)
    with tempfile.TemporaryDirectory() as home:
        node, api = start(binary, home)
        try:
            load(binary, home, api, checkout)
            ended = endings(checkout, api)
        finally:
            node.terminate()
            node.wait()
    groups = {name.rpartition("/")[0] for name in ended}
    cases, checks, surprises = collections.Counter(), collections.Counter(), 0
    for name, good in ended.items():
        test, _, case = name.partition("/")
        if name not in groups and case:
            checks[good] += 1
        if not case or "/" in case:
            continue
        cases[test, good] += 1
        surprises += good == (test in KNOWN)
        if not good:
            print(f"{test}: {case}: {KNOWN.get(test, 'was not expected')}")
    for test in sorted({test for test, _ in cases}):
        print(f"{test}: {cases[test, True]} of {cases[test, True] + cases[test, False]} cases")
    good = sum(count for (_, good), count in cases.items() if good)
    print(f"all: {good} of {cases.total()} cases, {checks[True]} of {checks.total()} checks in them, {surprises} surprises")
    sys.exit(surprises > 0 or not cases)


main()
