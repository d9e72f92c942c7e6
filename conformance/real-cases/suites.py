"""What the scripts have in common that run suites of others."""

import os
import shutil
import sys
from pathlib import Path


def arguments(usage):
    """The checkout of the suite, and the program: the one that is named, that of CONFORMANCE_BINARY, or `mc-wasm`."""
    if len(sys.argv) not in (2, 3):
        sys.exit(usage)
    binary = sys.argv[2] if len(sys.argv) == 3 else os.environ.get("CONFORMANCE_BINARY", "mc-wasm")
    binary = shutil.which(binary) or sys.exit(f"{binary} is not there")
    return Path(sys.argv[1]).resolve(), str(Path(binary).resolve())
