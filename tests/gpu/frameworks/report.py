# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder print.

    result NAME VALUE     must be the same natively and remoted (bit by bit: a digest of the bytes, a float in hex)
    time NAME SECONDS     compared as a ratio, by frameworks.py's table
    late NAME SECONDS     the longest of what "time" is the median of

Each script ends with status 0 only if its own checks hold; 77 means that the machine lacks the package.
"""

import hashlib
import statistics
import time


def result(name, value):
    if isinstance(value, float):
        value = value.hex()
    print(f'result {name} {value}', flush=True)


def digest(name, array):
    """Of a NumPy array's bytes."""
    result(name, hashlib.sha256(array.tobytes()).hexdigest()[:16])


def timed(name, body, repeat=1, warm_up=0):
    """Prints the median time of 'repeat' runs of body(); the last one's value."""
    for _ in range(warm_up):
        body()
    seconds, value = [], None
    for _ in range(repeat):
        started = time.monotonic()
        value = body()
        seconds.append(time.monotonic() - started)
    print(f'time {name} {statistics.median(seconds):.6f}', flush=True)
    return value
