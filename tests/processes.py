# SPDX-License-Identifier: Apache-2.0
"""Processes that the tests look at."""
import contextlib
import glob
from pathlib import Path


def children_of(pid):
    """Of all its threads, for any of them may have started them; a process or thread that has ended has none."""
    found = []
    for file in glob.glob(f'/proc/{pid}/task/*/children'):
        with contextlib.suppress(OSError):
            found += [int(number) for number in Path(file).read_text().split()]
    return found
