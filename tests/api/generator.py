# SPDX-License-Identifier: Apache-2.0
"""Runs a generator on a description of its own."""

import subprocess
import sys
import tempfile
from pathlib import Path


def generate(generator, text):
    """How the process ended, and the files that it wrote."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / 'input.api'
        source.write_text(text)
        output = Path(directory) / 'out'
        process = subprocess.run([sys.executable, str(generator), str(output), str(source)], capture_output=True,
                                 text=True, check=False)
        return process, {path.name: path.read_text() for path in output.glob('*')} if output.exists() else {}
