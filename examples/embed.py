#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a text file as a C string constant: embed.py INPUT OUTPUT NAME."""

import sys

source, target, name = sys.argv[1:]
with open(source, encoding='ascii') as file:
    lines = file.read().splitlines()
with open(target, 'w', encoding='ascii') as file:
    file.write(f'static const char {name}[] =\n')
    for line in lines:
        escaped = line.replace('\\', '\\\\').replace('"', '\\"').replace('\t', '\\t')
        file.write(f'\t"{escaped}\\n"\n')
    file.write('\t"";\n')
