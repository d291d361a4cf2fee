"""A few odd files, failing calls and odd conditions in each run of the tests; see README.md here.

`FUZZ_CASES=N` makes it N of each kind, and the share of the failing calls grows with it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and limits its children")

CASES = int(os.environ.get("FUZZ_CASES", "6"))
SCRIPTS = {
    "fuzz": ["--cases", CASES],
    "injection": ["--share", min(1, 0.004 * CASES)],
    "conditions": ["--times", 1, *"--condition two_at_once --condition modes".split()],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_wrong_without_a_word(script):
    command = [sys.executable, Path(__file__).with_name(f"{script}.py"), *SCRIPTS[script]]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout.splitlines()[-1])["faults"]
    assert faults and not any(faults.values()), json.dumps(faults, indent=1)
