# SPDX-License-Identifier: Apache-2.0
"""The description of the API: its items, and reading it (generate.py says what it looks like)."""

import re

from items import DescriptionError, read

SCALARS = {
    # description type: (C type of the API, C type on the wire)
    'u8': ('unsigned char', 'uint8_t'),
    'u16': ('unsigned short', 'uint16_t'),
    'u32': ('unsigned int', 'uint32_t'),
    'i32': ('int', 'int32_t'),
    'u64': ('unsigned long long', 'uint64_t'),
    'f32': ('float', 'float'),
    'size': ('size_t', 'uint64_t'),
    'address': ('CUdeviceptr', 'uint64_t'),
    'host_address': ('void *', 'uint64_t'),
    'const_host_address': ('const void *', 'uint64_t'),
    'device': ('CUdevice', 'int32_t'),
}
HANDLES = {
    # description kind: (C type, wire kind)
    'context': ('CUcontext', 'VGPU_KIND_CONTEXT'),
    'stream': ('CUstream', 'VGPU_KIND_STREAM'),
    'event': ('CUevent', 'VGPU_KIND_EVENT'),
    'module': ('CUmodule', 'VGPU_KIND_MODULE'),
    'function': ('CUfunction', 'VGPU_KIND_FUNCTION'),
    'library': ('CUlibrary', 'VGPU_KIND_LIBRARY'),
    'kernel': ('CUkernel', 'VGPU_KIND_KERNEL'),
    'memory_pool': ('CUmemoryPool', 'VGPU_KIND_MEMORY_POOL'),
    'link_state': ('CUlinkState', 'VGPU_KIND_LINK_STATE'),
    'graph': ('CUgraph', 'VGPU_KIND_GRAPH'),
    'graph_node': ('CUgraphNode', 'VGPU_KIND_GRAPH_NODE'),
    'graph_exec': ('CUgraphExec', 'VGPU_KIND_GRAPH_EXEC'),
    'array': ('CUarray', 'VGPU_KIND_ARRAY'),
    'mipmapped_array': ('CUmipmappedArray', 'VGPU_KIND_MIPMAPPED_ARRAY'),
    'texture': ('CUtexObject', 'VGPU_KIND_TEXTURE'),
    'surface': ('CUsurfObject', 'VGPU_KIND_SURFACE'),
    'texture_reference': ('CUtexref', 'VGPU_KIND_TEXTURE_REFERENCE'),
    'surface_reference': ('CUsurfref', 'VGPU_KIND_SURFACE_REFERENCE'),
    'memory_handle': ('CUmemGenericAllocationHandle', 'VGPU_KIND_MEMORY_HANDLE'),
    'green_context': ('CUgreenCtx', 'VGPU_KIND_GREEN_CONTEXT'),
    'user_object': ('CUuserObject', 'VGPU_KIND_USER_OBJECT'),
}
OPCODE_FIRST = 64


class Parameter:
    def __init__(self, role, kind, name, optional=False):
        self.role = role  # in, out, new, free, string, struct, tail
        self.kind = kind
        self.name = name
        self.optional = optional

    @property
    def is_handle(self):
        return self.role in ('new', 'free') or (self.role == 'in' and self.kind in HANDLES)


class Call:
    def __init__(self, name, mode, opcode):
        self.name = name
        self.mode = mode
        self.opcode = opcode
        self.guest_hand = False
        self.host_hand = False
        self.needs = 'context'
        self.handles_first = False
        self.entries = []
        self.parameters = []
        self.reply_tail = None
        self.doubt = None  # a C expression

    def having(self, *roles):
        return [p for p in self.parameters if p.role in roles]

    @property
    def tail(self):
        found = self.having('string', 'tail')
        return found[0] if found else None

    @property
    def request_fields(self):
        return [p for p in self.parameters if p.role in ('in', 'new', 'free', 'struct')]

    @property
    def outputs(self):
        return self.having('out')


class Entry:
    def __init__(self, symbol, version, default_stream=False):
        match = re.fullmatch(r'(cu[A-Za-z0-9]+?)(?:_v(\d+))?(_pt[sd][sz])?', symbol)
        if not match:
            raise DescriptionError(f'{symbol} is not a driver entry point')
        self.symbol = symbol
        self.base = match.group(1)
        self.variant = int(match.group(2) or 1)
        self.per_thread = match.group(3) is not None
        self.version = version
        self.default_stream = default_stream
        self.handle = None  # of a refused one: (kind, how many parameters stand before it)


class Description:
    def __init__(self):
        self.calls = []
        self.local = []
        self.refused = []  # (Entry, result, reason)
        self.internal = []  # (symbol, is a variable)
        self.driver = []  # (name, return type, parameters)
        self.results = []

    def entries(self):
        for call in self.calls:
            for entry in call.entries:
                yield entry
        yield from self.local
        for entry, _, _ in self.refused:
            yield entry


def parse_parameter(words):
    optional = words[-1] == 'optional'
    if optional:
        words = words[:-1]
    match words:
        case ['in', 'struct', kind, name]:
            return Parameter('struct', kind, name)
        case ['in', 'string', name]:
            return Parameter('string', 'string', name)
        case ['in', 'tail', name]:
            return Parameter('tail', 'tail', name)
        case ['in', kind, name] if kind in SCALARS or kind in HANDLES:
            return Parameter('in', kind, name)
        case ['out', kind, name] if kind in SCALARS:
            return Parameter('out', kind, name, optional)
        case ['new', kind, name] | ['free', kind, name] if kind in HANDLES:
            return Parameter(words[0], kind, name)
    raise DescriptionError(f'not a parameter: {" ".join(words)}')


def parse_call(words):
    try:
        name, mode, opcode = words[1], words[2], int(words[3], 0)
    except (IndexError, ValueError):
        raise DescriptionError('usage: call NAME posted|waited OPCODE ...') from None
    if mode not in ('posted', 'waited'):
        raise DescriptionError(f'{name}: mode {mode}')
    if opcode < OPCODE_FIRST or opcode > 0xffff:
        raise DescriptionError(f'{name}: opcode {opcode} is outside {OPCODE_FIRST}..65535')
    call = Call(name, mode, opcode)
    rest = words[4:]
    while rest:
        match rest[:2]:
            case ['guest', 'hand']:
                call.guest_hand = True
            case ['host', 'hand']:
                call.host_hand = True
            case ['needs', ('nothing' | 'init' | 'context') as needs]:
                call.needs = needs
            case ['handles', 'first']:
                call.handles_first = True
            case _:
                raise DescriptionError(f'{name}: {" ".join(rest)}')
        rest = rest[2:]
    return call


def parse_entry(words):
    if len(words) not in (3, 4) or not words[2].isdigit():
        raise DescriptionError('usage: entry SYMBOL VERSION [default_stream]')
    if len(words) == 4 and words[3] != 'default_stream':
        raise DescriptionError(f'{words[1]}: {words[3]}')
    return Entry(words[1], int(words[2]), len(words) == 4)


def parse_refused_entry(words):
    if len(words) < 4 or words[3] != 'handle':
        return parse_entry(words)
    entry = parse_entry(words[:3])
    if len(words) != 6 or words[4] not in HANDLES or not words[5].isdigit():
        raise DescriptionError('usage: entry SYMBOL VERSION handle KIND PLACE')
    entry.handle = (words[4], int(words[5]))
    return entry


def parse_line(description, item, words):
    """Takes one line; returns the item that following lines belong to."""
    match words[0]:
        case 'call':
            call = parse_call(words)
            description.calls.append(call)
            return call
        case 'local':
            return description.local
        case 'refused':
            named = len(words) > 1 and words[1].startswith('CUDA_ERROR_')
            result, reason = (words[1], words[2:]) if named else ('CUDA_ERROR_NOT_SUPPORTED', words[1:])
            if not reason:
                raise DescriptionError('refused needs a reason')
            return (result, ' '.join(reason))
        case 'internal':
            return description.internal
        case 'result':
            if len(words) < 4 or not words[1].isdigit():
                raise DescriptionError('usage: result VALUE NAME TEXT')
            description.results.append((int(words[1]), words[2], ' '.join(words[3:])))
            return None
        case 'driver':
            match = re.fullmatch(r'driver (\w[\w ]*?)\s*\b(cu\w+)\((.*)\)', ' '.join(words))
            if not match:
                raise DescriptionError('usage: driver TYPE NAME(PARAMETERS)')
            description.driver.append((match.group(2), match.group(1), match.group(3)))
            return None
        case 'entry':
            if item is description.internal:
                if len(words) < 2 or words[2:] not in ([], ['variable']):
                    raise DescriptionError('usage: entry SYMBOL [variable]')
                description.internal.append((words[1], len(words) == 3))
            elif item is description.local:
                description.local.append(parse_entry(words))
            elif isinstance(item, tuple):
                description.refused.append((parse_refused_entry(words), *item))
            elif isinstance(item, Call):
                item.entries.append(parse_entry(words))
            else:
                raise DescriptionError('entry outside an item')
            return item
        case 'reply' if isinstance(item, Call) and len(words) == 3 and words[1] == 'tail':
            item.reply_tail = words[2]
            return item
        case 'doubt' if isinstance(item, Call) and len(words) > 1:
            item.doubt = ' '.join(words[1:])
            return item
        case 'in' | 'out' | 'new' | 'free' if isinstance(item, Call):
            item.parameters.append(parse_parameter(words))
            return item
    raise DescriptionError(f'not understood: {" ".join(words)}')


def check(description):
    opcodes, symbols, versions = {}, set(), set()
    for call in description.calls:
        if call.opcode in opcodes:
            raise DescriptionError(f'{call.name} and {opcodes[call.opcode]} share opcode {call.opcode}')
        opcodes[call.opcode] = call.name
        if len(call.having('string', 'tail')) > 1:
            raise DescriptionError(f'{call.name}: more than one string or tail')
        if call.tail and call.tail.role == 'tail' and not (call.guest_hand and call.host_hand):
            raise DescriptionError(f'{call.name}: a tail needs guest hand and host hand')
        if call.reply_tail and not (call.guest_hand and call.host_hand):
            raise DescriptionError(f'{call.name}: a reply tail needs guest hand and host hand')
        if call.mode == 'posted' and (call.outputs or call.reply_tail):
            raise DescriptionError(f'{call.name}: a posted call has no outputs')
        if call.doubt and call.mode != 'posted':
            raise DescriptionError(f'{call.name}: only a posted call is doubted')
    for entry in description.entries():
        if entry.symbol in symbols:
            raise DescriptionError(f'{entry.symbol} is described twice')
        symbols.add(entry.symbol)
        key = (entry.base, entry.version, entry.per_thread)
        if key in versions:
            raise DescriptionError(f'{entry.symbol}: {entry.base} has version {entry.version} twice')
        versions.add(key)
    for symbol, _ in description.internal:
        if symbol in symbols:
            raise DescriptionError(f'{symbol} is described twice')
        symbols.add(symbol)


def parse(paths):
    description = Description()
    read(paths, lambda item, words: parse_line(description, item, words))
    check(description)
    return description
