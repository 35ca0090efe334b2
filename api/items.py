# SPDX-License-Identifier: Apache-2.0
"""What the descriptions of the CUDA Driver API and of NVML have in common: how they are read, and written out."""

import sys
from pathlib import Path


class DescriptionError(Exception):
    pass


def read(paths, take_line):
    """
    Calls take_line(item, words) for each line with words, which returns the item that the next line of the file may
    belong to. An error says which line it is of.
    """
    for path in paths:
        item = None
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            words = line.split('#', 1)[0].split()
            if not words:
                continue
            try:
                item = take_line(item, words)
            except DescriptionError as error:
                raise DescriptionError(f'{path}:{number}: {error}') from None


def write(usage, arguments, parse, outputs):
    """Into the first argument's folder, for each name of 'outputs', what its function makes of the other arguments."""
    if len(arguments) < 2:
        sys.exit(usage)
    try:
        description = parse(arguments[1:])
        produced = {name: emit(description) for name, emit in outputs.items()}
    except DescriptionError as error:
        sys.exit(f'generate.py: {error}')
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in produced.items():
        (directory / name).write_text(text)
