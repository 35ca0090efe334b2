# SPDX-License-Identifier: Apache-2.0
"""The description of NVML: its items, and reading it (generate.py says what it looks like)."""

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from items import DescriptionError, read  # noqa: E402  (found by the line above)

SCALARS = {
    # description type: (C type, bytes)
    'u32': ('unsigned int', 4),
    'i32': ('int', 4),
    'u64': ('unsigned long long', 8),
}
NUMBER_MAX = 1023
PARAMETERS_MAX = 8
VERSIONS_MAX = 4
# One function's arguments or results stay below a record (VGPU_RECORD_BYTES_MAX).
VALUE_BYTES_MAX = 48 << 10
TEXT_BYTES_MAX = 4096
SET_WORDS_MAX = 512


class Parameter:
    """One parameter in C."""

    def __init__(self, role, name, c_type, size=0, maximum=0, partner=0, versions=()):
        self.role = role  # as enum nvml_role
        self.name = name
        self.c_type = c_type
        self.size = size
        self.maximum = maximum
        self.partner = partner  # index of the parameter that counts this one's elements
        self.versions = versions  # (version, bytes)


class Remote:
    def __init__(self, number, symbol, hand, local_only):
        self.number = number
        self.symbol = symbol
        self.hand = hand
        self.local_only = local_only
        self.aliases = []
        self.parameters = []

    def add(self, *parameters):
        self.parameters.extend(parameters)

    def count_index(self):
        found = [i for i, p in enumerate(self.parameters) if p.role == 'COUNT']
        if len(found) != 1:
            raise DescriptionError(f'{self.symbol}: an array needs one count before it')
        return found[0]


class Description:
    def __init__(self):
        self.remote = []
        self.local = []
        self.refused = []  # (symbol, result, reason)
        self.results = []  # (value, name, text)

    def symbols(self):
        for function in self.remote:
            yield function.symbol
            yield from function.aliases
        yield from self.local
        for symbol, _, _ in self.refused:
            yield symbol


def number_read(text, what):
    if not text.isdigit():
        raise DescriptionError(f'{what}: {text} is no number')
    return int(text)


def parse_remote(words):
    if len(words) < 3 or not re.fullmatch(r'nvml\w+', words[2]) or set(words[3:]) - {'hand', 'local_only'}:
        raise DescriptionError('usage: remote NUMBER SYMBOL [hand] [local_only]')
    number = number_read(words[1], words[2])
    if not 0 < number <= NUMBER_MAX:
        raise DescriptionError(f'{words[2]}: number {number} is outside 1..{NUMBER_MAX}')
    return Remote(number, words[2], 'hand' in words[3:], 'local_only' in words[3:])


def versions_read(name, words):
    versions = []
    for word in words:
        match = re.fullmatch(r'(\d+):(\d+)', word)
        if not match:
            raise DescriptionError(f'{name}: {word} is not VERSION:BYTES')
        versions.append((int(match.group(1)), int(match.group(2))))
    if not 0 < len(versions) <= VERSIONS_MAX:
        raise DescriptionError(f'{name}: {len(versions)} versions')
    return versions


def parse_parameter(function, words):
    """Adds the C parameters of one line to the function."""
    at = len(function.parameters)
    match words:
        case ['device', name]:
            function.add(Parameter('DEVICE', name, 'struct nvml_device *'))
        case ['in', kind, name, *limit] if kind in SCALARS and len(limit) in (0, 2):
            if limit and limit[0] != 'at_most':
                raise DescriptionError(f'{name}: {" ".join(limit)}')
            c_type, size = SCALARS[kind]
            function.add(Parameter('IN', name, c_type, size, number_read(limit[1], name) if limit else 0))
        case ['out', kind, name] if kind in SCALARS:
            c_type, size = SCALARS[kind]
            function.add(Parameter('OUT', name, c_type + ' *', size))
        case ['struct', _, size, name]:
            function.add(Parameter('OUT', name, 'void *', number_read(size, name)))
        case ['versioned', _, name, *versions]:
            read = versions_read(name, versions)
            largest = max(size for _, size in read)
            function.add(Parameter('VERSIONED', name, 'void *', largest, versions=read))
        case ['text' | 'buffer', name]:
            function.add(Parameter('ARRAY', name, 'char *', 1, partner=at + 1),
                         Parameter('SIZE', name + '_bytes', 'unsigned int', 4, TEXT_BYTES_MAX))
        case ['set', name]:
            function.add(Parameter('SIZE', name + '_words', 'unsigned int', 4, SET_WORDS_MAX),
                         Parameter('ARRAY', name, 'unsigned long *', 8, partner=at))
        case ['count', name, maximum]:
            function.add(Parameter('COUNT', name, 'unsigned int *', 4, number_read(maximum, name)))
        case ['array', size, name]:
            function.add(Parameter('ARRAY', name, 'void *', number_read(size, name), partner=function.count_index()))
        case ['values', size, maximum, name]:
            function.add(Parameter('SIZE', name + '_count', 'int', 4, number_read(maximum, name)),
                         Parameter('VALUES', name, 'void *', number_read(size, name), partner=at))
        case _:
            raise DescriptionError(f'not a parameter: {" ".join(words)}')


def parse_line(description, item, words):
    """Takes one line; returns the item that following lines belong to."""
    match words:
        case ['remote', *_]:
            function = parse_remote(words)
            description.remote.append(function)
            return function
        case ['local']:
            return description.local
        case ['denied', _, *_]:
            return ('NVML_ERROR_NO_PERMISSION', ' '.join(words[1:]))
        case ['unsupported', _, *_]:
            return ('NVML_ERROR_NOT_SUPPORTED', ' '.join(words[1:]))
        case ['result', value, name, _, *_]:
            description.results.append((number_read(value, name), name, ' '.join(words[3:])))
            return None
        case ['entry', symbol] if item is description.local:
            description.local.append(symbol)
            return item
        case ['entry', symbol] if isinstance(item, tuple):
            description.refused.append((symbol, *item))
            return item
        case ['also', symbol] if isinstance(item, Remote):
            item.aliases.append(symbol)
            return item
        case _ if isinstance(item, Remote):
            parse_parameter(item, words)
            return item
    raise DescriptionError(f'not understood: {" ".join(words)}')


def bytes_most(parameter, function):
    """The most bytes that the parameter can take in one message."""
    if parameter.role in ('ARRAY', 'VALUES'):
        return parameter.size * function.parameters[parameter.partner].maximum
    return max(parameter.size, 8)


def check(description):
    numbers, symbols = {}, set()
    for function in description.remote:
        if function.number in numbers:
            raise DescriptionError(f'{function.symbol} and {numbers[function.number]} share number {function.number}')
        numbers[function.number] = function.symbol
        if not 0 < len(function.parameters) <= PARAMETERS_MAX:
            raise DescriptionError(f'{function.symbol}: {len(function.parameters)} parameters')
        if sum(bytes_most(p, function) for p in function.parameters) > VALUE_BYTES_MAX:
            raise DescriptionError(f'{function.symbol}: more than {VALUE_BYTES_MAX} bytes')
    for symbol in description.symbols():
        if not re.fullmatch(r'nvml\w+', symbol):
            raise DescriptionError(f'{symbol} is no function of NVML')
        if symbol in symbols:
            raise DescriptionError(f'{symbol} is described twice')
        symbols.add(symbol)


def parse(paths):
    description = Description()
    read(paths, lambda item, words: parse_line(description, item, words))
    description.remote.sort(key=lambda function: function.number)
    check(description)
    return description
