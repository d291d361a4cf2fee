"""A few odd files, failing calls and odd conditions in each run of the tests; see README.md here.

`FUZZ_CASES=N` makes it N odd files of each kind, and more failing calls.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = os.environ.get("FUZZ_CASES", "1")


@pytest.mark.skipif(sys.platform != "linux", reason="it forks, and limits its children")
def test_nothing_goes_wrong_without_a_word():
    command = [sys.executable, str(Path(__file__).with_name("some.py")), CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout.splitlines()[-1])
    assert len(faults) > 10 and not any(faults.values()), json.dumps(faults, indent=1)
