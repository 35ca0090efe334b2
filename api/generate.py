#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates the code that follows from the description of the CUDA Driver API.

usage: generate.py OUTPUT_DIRECTORY DESCRIPTION...

The description is a set of text files, one item at a time:

  call NAME posted|waited OPCODE [guest hand] [host hand] [needs nothing|init|context]
       [handles first]
      entry SYMBOL VERSION [default_stream]
      in TYPE name | in struct TYPE name | in string name | in tail name
      out TYPE name [optional]
      new KIND name
      free KIND name
      reply tail name
      doubt EXPRESSION
    A call that crosses to the host. Parameters stand in the order of the driver's own prototype.
    'posted' is not answered, 'waited' is. With 'guest hand' the entry points are written by hand and
    use host_NAME(); with 'host hand' execute_NAME() is.  A 'default_stream' entry has no stream
    parameter: it works on the default stream.  With 'handles first' handles are looked at before pointers
    that must not be NULL.  A posted call is waited for where the expression over its
    parameters holds, in C with the functions of doubt.h: then the host may refuse it, which the program is
    to learn from the call itself.

  local
      entry SYMBOL VERSION
    Entry points written by hand in the guest that need no request of their own.

  refused [CUDA_ERROR_NAME] REASON
      entry SYMBOL VERSION [handle KIND PLACE]
    Entry points that answer that error, CUDA_ERROR_NOT_SUPPORTED where none is named; with a handle of that kind
    behind so many parameters that are integers or pointers, first what is wrong with the handle.

  internal
      entry SYMBOL [variable]
    Names that the library exports but cuGetProcAddress does not give. Functions answer
    CUDA_ERROR_NOT_SUPPORTED; variables, which a debugger looks for, are zero.

  driver PROTOTYPE
    A function of the host's driver that hand-written code of the executor calls.

  result VALUE NAME TEXT

Opcodes and layouts of calls that have been released are never changed; new calls get new opcodes.
"""

import sys

import emit_guest
import emit_host
import emit_wire
from description import parse
from items import write

OUTPUTS = {
    'vgpu_api_wire.h': emit_wire.emit_wire,
    'host_calls.h': emit_guest.emit_guest_header,
    'guest_stubs.c': emit_guest.emit_guest,
    'proc_table.h': lambda _: emit_guest.emit_proc_header(),
    'proc_table.c': emit_guest.emit_proc_table,
    'result_table.h': lambda _: emit_guest.emit_result_header(),
    'result_table.c': emit_guest.emit_results,
    'driver_table.h': emit_host.emit_driver_header,
    'driver_table.c': emit_host.emit_driver,
    'executor_calls.h': emit_host.emit_execute_header,
    'executor_calls.c': emit_host.emit_executor,
    'call_list.h': emit_wire.emit_call_list,
    'coverage.md': emit_wire.emit_coverage,
}


if __name__ == '__main__':
    write(__doc__, sys.argv[1:], parse, OUTPUTS)
