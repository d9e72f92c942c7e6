#!/usr/bin/env python3
"""Takes the arguments of `wasmtime run`, as far as the real cases use them, and calls `mc-wasm run`.

    adapter.py run [--dir HOST::GUEST]... [--env K=V]... COMPONENT [ARGS]...

CONFORMANCE_BINARY is the program to call. CONFORMANCE_RUN_ARGS are more options for it, such as
`--engine pulley`.
"""

import os
import sys

arguments = sys.argv[1:]
if not arguments or arguments.pop(0) != "run":
    sys.exit(__doc__)
options = os.environ.get("CONFORMANCE_RUN_ARGS", "").split()
while arguments and arguments[0] in ("--dir", "--env"):
    options += [arguments.pop(0), arguments.pop(0)]
component, *rest = arguments
binary = os.environ.get("CONFORMANCE_BINARY", "mc-wasm")
os.execvp(binary, [binary, "--quiet", "run", *options, component, "--", *rest])
