# SPDX-License-Identifier: Apache-2.0
"""Checks a systemd unit: verify_unit.py SYSTEMD_ANALYZE UNIT PROGRAM

The program need not be installed: the unit is checked with the path of the one that was built.
"""

import os
import re
import subprocess
import sys
import tempfile

analyze, unit, program = sys.argv[1:]
with open(unit) as file:
    text, count = re.subn(r"^ExecStart=\S+", "ExecStart=" + os.path.abspath(program), file.read(), flags=re.M)
if count != 1:
    sys.exit("%s: not exactly one ExecStart" % unit)
with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, os.path.basename(unit))
    with open(copy, "w") as file:
        file.write(text)
    result = subprocess.run([analyze, "verify", copy], stderr=subprocess.PIPE, text=True)
# Unknown settings are warnings and do not change the exit code; other units' warnings are not ours.
complaints = [line for line in result.stderr.splitlines() if os.path.basename(unit) in line]
print("\n".join(complaints))
sys.exit(1 if result.returncode or complaints else 0)
