# SPDX-License-Identifier: Apache-2.0
"""The guest: host_NAME() functions, entry points, the tables of cuGetProcAddress and of results."""

from description import HANDLES, SCALARS
from emit_wire import BANNER, wire_fields, wire_type


def declare(c_type, name):
    return c_type + name if c_type.endswith('*') else f'{c_type} {name}'


def api_parameter(p):
    """As the entry point declares it."""
    if p.role == 'new':
        return f'{HANDLES[p.kind][0]} *{p.name}'
    if p.is_handle:
        return f'{HANDLES[p.kind][0]} {p.name}'
    if p.role == 'out':
        return declare(SCALARS[p.kind][0] + ' *', p.name)
    if p.role == 'struct':
        return f'const {p.kind} *{p.name}'
    if p.role == 'string':
        return f'const char *{p.name}'
    return declare(SCALARS[p.kind][0], p.name)


def host_parameter(p):
    """As host_NAME() declares it: what is on the wire."""
    if p.role == 'out':
        return f'{wire_type(p)} *{p.name}'
    if p.role == 'struct':
        return f'const {p.kind} *{p.name}'
    if p.role == 'string':
        return f'const char *{p.name}'
    if p.role == 'tail':
        return f'const void *{p.name}, uint32_t {p.name}_bytes'
    return f'{wire_type(p)} {p.name}'


def host_prototype(call):
    parameters = ['uint32_t context'] + [host_parameter(p) for p in call.parameters]
    if call.reply_tail:
        parameters += [f'void *{call.reply_tail}', f'uint32_t {call.reply_tail}_capacity',
                       f'uint32_t *{call.reply_tail}_bytes']
    return f'CUresult host_{call.name}({", ".join(parameters)})'


def emit_host_function(call):
    out = [host_prototype(call), '{']
    pieces = []
    if wire_fields(call):
        out.append(f'\tstruct wire_{call.name} request = {{')
        for p in call.request_fields:
            out.append(f'\t\t.{p.name} = {"*" if p.role == "struct" else ""}{p.name},')
        if call.tail:
            name = call.tail.name
            out.append(f'\t\t.{name}_bytes = ' +
                       (f'(uint32_t)strlen({name}) + 1,' if call.tail.role == 'string' else f'{name}_bytes,'))
        out.append('\t};')
        pieces.append('{&request, sizeof(request)}')
    has_reply = bool(call.outputs or call.reply_tail)
    if call.reply_tail:
        out.append(f'\tstruct wire_{call.name}_reply reply;')
        out.append(f'\tsize_t capacity = sizeof(reply) + {call.reply_tail}_capacity;')
        out.append('\tuint8_t *buffer;')
        out.append('\tsize_t received = 0;')
        out.append('\tCUresult result;')
    elif has_reply:
        out.append(f'\tstruct wire_{call.name}_reply reply;')
        out.append('\tCUresult result;')
    if call.tail:
        pieces.append(f'{{{call.tail.name}, request.{call.tail.name}_bytes}}')
    if pieces:
        out.append(f'\tconst struct call_piece pieces[] = {{{", ".join(pieces)}}};')
    out.append('')
    arguments = f'VGPU_CALL_{call.name}, context, {"pieces" if pieces else "NULL"}, {len(pieces)}'
    if call.tail and call.tail.role == 'string':
        out.append(f'\tif (request.{call.tail.name}_bytes > VGPU_RECORD_BYTES_MAX / 2)\n'
                   '\t\treturn CUDA_ERROR_INVALID_VALUE;')
    if call.mode == 'posted':
        if call.doubt:
            out.append(f'\tif (__builtin_expect({call.doubt}, 0))\n\t\treturn call_wait({arguments}, NULL, 0, NULL);')
        out.append(f'\treturn call_post({arguments});')
    elif not has_reply:
        out.append(f'\treturn call_wait({arguments}, NULL, 0, NULL);')
    elif call.reply_tail:
        tail = call.reply_tail
        out += [
            '\tbuffer = malloc(capacity);',
            '\tif (!buffer)',
            '\t\treturn CUDA_ERROR_OUT_OF_MEMORY;',
            f'\tresult = call_wait({arguments}, buffer, capacity, &received);',
            '\tif (received >= sizeof(reply))',
            '\t\tmemcpy(&reply, buffer, sizeof(reply));',
            f'\tif (received < sizeof(reply) || reply.{tail}_bytes > received - sizeof(reply)) {{',
            '\t\tfree(buffer);',
            '\t\treturn result ? result : CUDA_ERROR_UNKNOWN;',
            '\t}',
            f'\tmemcpy({tail}, buffer + sizeof(reply), reply.{tail}_bytes);',
            '\tfree(buffer);',
            f'\t*{tail}_bytes = reply.{tail}_bytes;',
        ]
        out += [f'\t*{p.name} = reply.{p.name};' for p in call.outputs]
        out.append('\treturn result;')
    else:
        out += [f'\tresult = call_wait({arguments}, &reply, sizeof(reply), NULL);', '\tif (result)',
                '\t\treturn result;']
        out += [f'\t*{p.name} = reply.{p.name};' for p in call.outputs]
        out.append('\treturn CUDA_SUCCESS;')
    out.append('}\n')
    return out


def emit_pointer_checks(call):
    pointers = [p.name for p in call.parameters
                if (p.role in ('new', 'struct', 'string') or (p.role == 'out' and not p.optional))]
    if not pointers:
        return []
    return [f'\tif ({" || ".join("!" + n for n in pointers)})\n\t\treturn CUDA_ERROR_INVALID_VALUE;']


def emit_handle_checks(call):
    out = []
    for p in call.parameters:
        if not p.is_handle or p.role == 'new':
            continue
        if p.kind == 'stream' and p.role == 'in':
            find = f'stream_id({p.name}, per_thread, &{p.name}_id)'
        elif p.kind == 'function':
            find = f'function_id({p.name}, &{p.name}_id)'
        else:
            find = f'object_id({p.name}, {HANDLES[p.kind][1]}, &{p.name}_id)'
        out.append(f'\tresult = {find};\n\tif (result)\n\t\treturn result;')
    return out


def emit_core(call):
    """What all entry points of one generated call share."""
    parameters = [api_parameter(p) for p in call.parameters] + ['bool per_thread']
    out = [f'static CUresult core_{call.name}({", ".join(parameters)})', '{', '\tuint32_t context;']
    handles = [p for p in call.parameters if p.is_handle]
    for p in handles:
        if p.role == 'new':
            out.append(f'\tstruct object *{p.name}_object;')
        else:
            out.append(f'\tuint32_t {p.name}_id;')
    for p in call.outputs:
        out.append(f'\t{wire_type(p)} {p.name}_value;')
    out += ['\tCUresult result;', '', '\t(void)per_thread;',
            f'\tresult = call_begin(CALL_NEEDS_{call.needs.upper()}, &context);', '\tif (result)', '\t\treturn result;']
    checks = [emit_pointer_checks(call), emit_handle_checks(call)]
    for lines in reversed(checks) if call.handles_first else checks:
        out += lines
    news = call.having('new')
    for p in news:
        out.append(f'\t{p.name}_object = object_mint({HANDLES[p.kind][1]}, context);\n'
                   f'\tif (!{p.name}_object)\n\t\treturn CUDA_ERROR_OUT_OF_MEMORY;')
    arguments = ['context']
    for p in call.parameters:
        if p.role == 'new':
            arguments.append(f'{p.name}_object->id')
        elif p.is_handle:
            arguments.append(f'{p.name}_id')
        elif p.role == 'out':
            arguments.append(f'&{p.name}_value')
        elif p.kind in ('host_address', 'const_host_address'):
            arguments.append(f'(uintptr_t){p.name}')
        else:
            arguments.append(p.name)
    out.append(f'\tresult = host_{call.name}({", ".join(arguments)});')
    if news or call.outputs or call.having('free'):
        out.append('\tif (result)' + (' {' if news else ''))
        for p in news:
            out.append(f'\t\tobject_release({p.name}_object);')
        out.append('\t\treturn result;' + ('\n\t}' if news else ''))
        for p in news:
            out.append(f'\t*{p.name} = ({HANDLES[p.kind][0]}){p.name}_object;')
        for p in call.having('free'):
            out.append(f'\tobject_release((struct object *){p.name});')
        for p in call.outputs:
            assign = f'*{p.name} = ({SCALARS[p.kind][0]}){p.name}_value;'
            out.append(f'\tif ({p.name})\n\t\t{assign}' if p.optional else f'\t{assign}')
        out.append('\treturn CUDA_SUCCESS;')
    else:
        out.append('\treturn result;')
    out.append('}\n')
    return out


def emit_entry(call, entry):
    parameters = [p for p in call.parameters if not (entry.default_stream and p.kind == 'stream')]
    signature = ', '.join(api_parameter(p) for p in parameters) or 'void'
    arguments = ['NULL' if entry.default_stream and p.kind == 'stream' else p.name for p in call.parameters]
    arguments.append('true' if entry.per_thread else 'false')
    return [f'API({entry.symbol}, {signature})', '{', f'\treturn core_{call.name}({", ".join(arguments)});', '}\n']


def emit_guest_header(description):
    out = [BANNER, '#ifndef VGPU_HOST_CALLS_H\n#define VGPU_HOST_CALLS_H\n',
           '/* One function for each call of the description: sends the request with wire ids for handles. */\n',
           '#include "call.h"\n#include "vgpu_api_wire.h"\n']
    out += [host_prototype(c) + ';' for c in description.calls]
    out.append('\n#endif')
    return '\n'.join(out) + '\n'


def emit_refused(entry, result, reason):
    if not entry.handle:
        return [f'/* {reason} */\nAPI({entry.symbol}, void)\n{{\n'
                f'\treturn call_refused("{entry.symbol}", {result});\n}}\n']
    kind, place = entry.handle
    before = ''.join(f'uint64_t before_{i}, ' for i in range(place))
    return [f'/* {reason} */\nAPI({entry.symbol}, {before}{HANDLES[kind][0]} handle)\n{{\n\tuint32_t id;\n'
            f'\tCUresult result = object_id(handle, {HANDLES[kind][1]}, &id);\n\n' +
            ''.join(f'\t(void)before_{i};\n' for i in range(place)) +
            f'\treturn call_refused("{entry.symbol}", result ? result : {result});\n}}\n']


def emit_guest(description):
    out = [BANNER, '#include <stdlib.h>\n#include <string.h>\n', '#include "call.h"\n#include "doubt.h"\n#include "object.h"\n#include "host_calls.h"\n']
    for call in description.calls:
        out += emit_host_function(call)
        if not call.guest_hand and call.entries:
            out += emit_core(call)
            for entry in call.entries:
                out += emit_entry(call, entry)
    for entry, result, reason in description.refused:
        out += emit_refused(entry, result, reason)
    for symbol, is_variable in description.internal:
        if is_variable:
            out.append(f'extern uint64_t {symbol};\n__attribute__((visibility("default"))) uint64_t {symbol};\n')
        else:
            out.append(f'API({symbol}, void)\n{{\n\treturn call_refused("{symbol}", CUDA_ERROR_NOT_SUPPORTED);\n}}\n')
    return '\n'.join(out) + '\n'


def emit_proc_table(description):
    entries = sorted(description.entries(), key=lambda e: (e.base, e.per_thread, e.version))
    out = [BANNER, '#include "proc_table.h"\n']
    # Only the address matters here; the prototypes are elsewhere.
    out += [f'extern void {e.symbol}(void);' for e in entries]
    out.append('\nconst struct proc_entry proc_table[] = {')
    for e in entries:
        out.append(f'\t{{"{e.base}", {e.version}, {"true" if e.per_thread else "false"}, {e.symbol}}},')
    out.append('};\n\nconst size_t proc_table_count = sizeof(proc_table) / sizeof(proc_table[0]);')
    return '\n'.join(out) + '\n'


def emit_proc_header():
    return BANNER + '''#ifndef VGPU_PROC_TABLE_H
#define VGPU_PROC_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* What cuGetProcAddress can give, sorted by base name, then per_thread, then version. */
struct proc_entry {
	const char *base;
	int version; /* the first CUDA version that has it: 12000 for 12.0 */
	bool per_thread; /* a _ptsz or _ptds variant */
	void (*function)(void);
};

extern const struct proc_entry proc_table[];
extern const size_t proc_table_count;

#endif
'''


def emit_results(description):
    out = [BANNER, '#include "result_table.h"\n', 'const struct result_entry result_table[] = {']
    for value, name, text in sorted(description.results):
        out.append(f'\t{{{value}, "{name}", "{text}"}},')
    out.append('};\n\nconst size_t result_table_count = sizeof(result_table) / sizeof(result_table[0]);')
    return '\n'.join(out) + '\n'


def emit_result_header():
    return BANNER + '''#ifndef VGPU_RESULT_TABLE_H
#define VGPU_RESULT_TABLE_H

#include <stddef.h>

/* The driver's results, sorted by value: what cuGetErrorName and cuGetErrorString answer. */
struct result_entry {
	int value;
	const char *name;
	const char *text;
};

extern const struct result_entry result_table[];
extern const size_t result_table_count;

#endif
'''
