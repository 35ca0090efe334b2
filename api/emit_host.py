# SPDX-License-Identifier: Apache-2.0
"""The host: the table of the driver's functions, the decoder and the bodies of mechanical calls."""

import call_class
from description import HANDLES, SCALARS, DescriptionError
from emit_guest import api_parameter, declare
from emit_wire import BANNER, wire_fields


def driver_functions(description):
    found = {name: (kind, parameters) for name, kind, parameters in description.driver}
    for call in description.calls:
        if not call.host_hand:
            parameters = ', '.join(api_parameter(p) for p in call.parameters) or 'void'
            if found.setdefault(call.name, ('CUresult', parameters)) != ('CUresult', parameters):
                raise DescriptionError(f'{call.name} has a driver line of its own')
    return sorted(found.items())


def emit_driver_header(description):
    out = [BANNER, '#ifndef VGPU_DRIVER_TABLE_H\n#define VGPU_DRIVER_TABLE_H\n', '#include "cuda_abi.h"\n',
           '/* The entry points of the host\'s driver library; NULL where it lacks one. */', 'struct driver {']
    for name, (kind, parameters) in driver_functions(description):
        out.append(f'\t{kind} (*{name})({parameters});')
    out += ['};\n', '/* Fills the table from a handle of dlopen(). */',
            'void driver_load(struct driver *driver, void *library);\n', '#endif']
    return '\n'.join(out) + '\n'


def emit_driver(description):
    out = [BANNER, '#include <dlfcn.h>\n#include <string.h>\n', '#include "driver_table.h"\n',
           'void driver_load(struct driver *driver, void *library)\n{\n\tvoid *address;\n']
    for name, _ in driver_functions(description):
        # POSIX wants the copy: a cast from void * to a function pointer is not C.
        out.append(f'\taddress = dlsym(library, "{name}");\n'
                   f'\tmemcpy(&driver->{name}, &address, sizeof(address));')
    out.append('}')
    return '\n'.join(out) + '\n'


def execute_prototype(call):
    parameters = ['struct executor *executor', 'const struct request *request']
    if wire_fields(call):
        parameters.append(f'const struct wire_{call.name} *arguments')
    if call.tail and call.tail.role == 'string':
        parameters.append(f'const char *{call.tail.name}')
    elif call.tail:
        parameters.append(f'const void *{call.tail.name}')
    if call.outputs or call.reply_tail:
        parameters.append(f'struct wire_{call.name}_reply *reply')
    if call.reply_tail:
        parameters.append(f'void *{call.reply_tail}, size_t {call.reply_tail}_capacity')
    return f'CUresult execute_{call.name}({", ".join(parameters)})'


def emit_execute_header(description):
    out = [BANNER, '#ifndef VGPU_EXECUTOR_CALLS_H\n#define VGPU_EXECUTOR_CALLS_H\n',
           '#include "execute.h"\n#include "vgpu_api_wire.h"\n',
           '/*\n * The calls that are written by hand. Arguments have the right length; strings are terminated; a\n'
           ' * tail has NAME_bytes bytes. *reply is zeroed. With a reply tail the function sets\n'
           ' * reply->NAME_bytes; that reply is sent whatever the result.\n */']
    out += [execute_prototype(c) + ';' for c in description.calls if c.host_hand]
    out.append('\n#endif')
    return '\n'.join(out) + '\n'


def emit_execute_body(call):
    """execute_NAME() of a mechanical call."""
    out = ['static ' + execute_prototype(call), '{',
           '\tconst struct driver *driver = executor_driver(executor);']
    arguments, after = [], []
    find = []
    for p in call.parameters:
        if p.role == 'new':
            out.append(f'\t{HANDLES[p.kind][0]} {p.name} = NULL;')
            find.append(f'execute_check_mint(executor, {HANDLES[p.kind][1]}, arguments->{p.name})')
            arguments.append(f'&{p.name}')
            after.append(f'\texecute_mint(executor, arguments->{p.name}, request->context, {p.name});')
        elif p.is_handle:
            kind = HANDLES[p.kind]
            if p.kind == 'stream':
                out.append(f'\tCUstream {p.name};')
                find.append(f'execute_find_stream(executor, arguments->{p.name}, &{p.name})')
            elif p.kind == 'function':
                out.append(f'\tCUfunction {p.name};')
                find.append(f'execute_find_function(executor, arguments->{p.name}, &{p.name})')
            else:
                out.append(f'\tvoid *{p.name};')
                find.append(f'execute_find(executor, {kind[1]}, arguments->{p.name}, &{p.name})')
            arguments.append(p.name)
            if p.role == 'free':
                after.append(f'\texecute_forget(executor, arguments->{p.name});')
        elif p.role == 'out':
            out.append(f'\t{declare(SCALARS[p.kind][0], p.name)} = 0;')
            arguments.append(f'&{p.name}')
            after.append(f'\treply->{p.name} = {p.name};')
        elif p.role == 'struct':
            arguments.append(f'&arguments->{p.name}')
        elif p.role == 'string':
            arguments.append(p.name)
        elif p.kind in ('host_address', 'const_host_address'):
            raise DescriptionError(f'{call.name}: a host address needs host hand')
        else:
            arguments.append(f'arguments->{p.name}')
    out += ['\tCUresult result;', '', '\t(void)request;', f'\tif (!driver->{call.name})',
            '\t\treturn CUDA_ERROR_NOT_SUPPORTED;']
    for f in find:
        out.append(f'\tresult = {f};\n\tif (result)\n\t\treturn result;')
    out.append(f'\tresult = driver->{call.name}({", ".join(arguments)});')
    if after:
        out.append('\tif (result)\n\t\treturn result;')
        out += after
        out.append('\treturn CUDA_SUCCESS;')
    else:
        out.append('\treturn result;')
    out.append('}\n')
    return out


def emit_decode(call):
    """decode_NAME(): lengths first, then the call."""
    fields, outputs = wire_fields(call), bool(call.outputs or call.reply_tail)
    out = [f'static CUresult decode_{call.name}(struct executor *executor, const struct request *request,\n'
           '\t\t\t\tstruct reply *reply)', '{']
    passed = ['executor', 'request']
    if fields:
        out.append(f'\tconst struct wire_{call.name} *arguments = request->payload;')
        passed.append('arguments')
    if call.tail:
        text = 'char' if call.tail.role == 'string' else 'void'
        out.append(f'\tconst {text} *{call.tail.name};')
        passed.append(call.tail.name)
    if outputs:
        out.append(f'\tstruct wire_{call.name}_reply *outputs = (void *)reply->payload;')
        out.append('\tCUresult result;')
        passed.append('outputs')
    if call.reply_tail:
        passed += [f'reply->payload + sizeof(*outputs)', 'reply->capacity - sizeof(*outputs)']
    out.append('')
    if fields:
        out.append('\tif (request->payload_bytes < sizeof(*arguments))\n\t\treturn EXECUTE_PROTOCOL;')
    if call.tail:
        name = call.tail.name
        out.append(f'\tif (arguments->{name}_bytes > request->payload_bytes - sizeof(*arguments))\n'
                   '\t\treturn EXECUTE_PROTOCOL;')
        out.append(f'\t{name} = (const void *)(arguments + 1);')
        if call.tail.role == 'string':
            out.append(f'\tif (!arguments->{name}_bytes || {name}[arguments->{name}_bytes - 1])\n'
                       '\t\treturn EXECUTE_PROTOCOL;')
    if not outputs:
        out.append('\t(void)reply;')
        out.append(f'\treturn execute_{call.name}({", ".join(passed)});')
    else:
        out.append('\tmemset(outputs, 0, sizeof(*outputs));')
        out.append(f'\tresult = execute_{call.name}({", ".join(passed)});')
        if call.reply_tail:
            tail = call.reply_tail
            out.append(f'\tif (outputs->{tail}_bytes > reply->capacity - sizeof(*outputs))\n'
                       f'\t\toutputs->{tail}_bytes = 0;')
            out.append('\tif (result != EXECUTE_DEFERRED && result != EXECUTE_PROTOCOL)\n'
                       f'\t\treply->bytes = sizeof(*outputs) + outputs->{tail}_bytes;')
        else:
            out.append('\tif (!result)\n\t\treply->bytes = sizeof(*outputs);')
        out.append('\treturn result;')
    out.append('}\n')
    return out


def emit_executor(description):
    out = [BANNER, '#include <string.h>\n',
           '#include "execute.h"\n#include "executor_calls.h"\n#include "driver_table.h"\n']
    for call in description.calls:
        if not call.host_hand:
            out += emit_execute_body(call)
        out += emit_decode(call)
    out.append('CUresult execute_api(struct executor *executor, const struct request *request, struct reply *reply)\n'
               '{\n\tswitch (request->opcode) {')
    for call in description.calls:
        out.append(f'\tcase VGPU_CALL_{call.name}:\n\t\treturn decode_{call.name}(executor, request, reply);')
    out.append('\tdefault:\n\t\treturn CUDA_ERROR_NOT_SUPPORTED;\n\t}\n}\n')
    out.append('const char *execute_api_name(uint16_t opcode)\n{\n\tswitch (opcode) {')
    for call in description.calls:
        out.append(f'\tcase VGPU_CALL_{call.name}:\n\t\treturn "{call.name}";')
    out.append('\tdefault:\n\t\treturn "?";\n\t}\n}\n')
    out.append('enum vgpu_call_class execute_api_class(uint16_t opcode)\n{\n\tswitch (opcode) {')
    for name, _ in call_class.RULES:
        calls = [call for call in description.calls if call_class.call_class(call.name) == name]
        out += [f'\tcase VGPU_CALL_{call.name}:' for call in calls]
        if calls:
            out.append(f'\t\treturn VGPU_CLASS_{name};')
    out.append(f'\tdefault:\n\t\treturn VGPU_CLASS_{call_class.OTHER};\n\t}}\n}}')
    return '\n'.join(out) + '\n'
