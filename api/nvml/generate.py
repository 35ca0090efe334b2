#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates the code that follows from the description of NVML.

usage: generate.py OUTPUT_DIRECTORY DESCRIPTION...

The description is a set of text files, one item at a time:

  remote NUMBER SYMBOL [hand] [local_only]
      also SYMBOL
      device name
      in u32|i32|u64 name [at_most MAXIMUM]
      out u32|i32|u64 name
      struct TYPE BYTES name
      versioned TYPE name VERSION:BYTES...
      text name                 char *name, unsigned length
      buffer name               void *name, unsigned bytes
      set name                  unsigned words, unsigned long *name
      count name MAXIMUM        unsigned *name: how many there is room for; how many there are
      array BYTES name          the elements that the count of the function counts
      values BYTES MAXIMUM name int count, TYPE *name: read and written
    A function that the host's library is asked for, its parameters in the order of NVML's prototype. The
    number names it on the wire. 'hand': the entry point is written by hand and asks by number.
    'local_only': about the host's own processors and memory, so it means nothing in a virtual machine.
    'also' is another name of the same function.

  local
      entry SYMBOL
    Entry points written by hand.

  denied REASON | unsupported REASON
      entry SYMBOL
    Entry points that answer NVML_ERROR_NO_PERMISSION or NVML_ERROR_NOT_SUPPORTED.

  result VALUE NAME TEXT

Numbers and parameters of functions that have been released are never changed.
"""

import sys

import emit
from description import parse
from items import write

OUTPUTS = {
    'nvml_functions.h': emit.emit_header,
    'nvml_functions.c': emit.emit_functions,
    'nvml_stubs.c': emit.emit_stubs,
    'nvml_invoke.c': emit.emit_invoke,
    'nvml_fake.c': emit.emit_fake,
    'coverage-nvml.md': emit.emit_coverage,
}


if __name__ == '__main__':
    write(__doc__, sys.argv[1:], parse, OUTPUTS)
