#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a program's manual page: what it does is in a template, its options are what it says itself.

usage: make_page.py PROGRAM TEMPLATE OUTPUT

In the template a line @SYNOPSIS@ is replaced by the arguments, @OPTIONS@ by the options and @USAGE@ by the whole text
of "PROGRAM --help", so that a page cannot say something else than the program does.
"""

import os
import re
import subprocess
import sys

# "  -l, --listen=WHERE   text", "      --check, --check-configuration", and the text on a line of its own.
OPTION = re.compile(r'^ {2,6}(?P<names>-[^ ].*?)(?: {2,}(?P<text>\S.*))?$')
GROUP = re.compile(r'^ (?P<text>\S.*:)$')


def help_of(program):
    # argp breaks no line then; what leaks at its exit is nobody's concern here.
    environment = {**os.environ, 'ARGP_HELP_FMT': 'rmargin=1000,opt-doc-col=60,no-dup-args-note',
                   'ASAN_OPTIONS': 'detect_leaks=0', 'LC_ALL': 'C'}
    done = subprocess.run([program, '--help'], capture_output=True, text=True, env=environment, check=True, timeout=60)
    return done.stdout.splitlines()


def escaped(text):
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + text if text[:1] in '.\'' else text


def options_of(lines):
    """Pairs of an option's names and its text, and (None, heading) where a group begins."""
    found = []
    for line in lines[1:]:
        option, group = OPTION.match(line), GROUP.match(line)
        if option:
            found.append([option['names'], option['text'] or ''])
        elif group:
            found.append([None, group['text']])
        elif found and line.startswith(' ' * 12) and not found[-1][1]:
            found[-1][1] = line.strip()
    return found


def name_marked(name):
    """"--listen=WHERE": the option bold, its argument slanted."""
    option, equals, argument = name.partition('=')
    return f'\\fB{escaped(option)}\\fR' + (f'=\\fI{escaped(argument)}\\fR' if equals else '')


def sentence(text):
    """Begins with a capital letter, unless it begins with what is to be typed."""
    return text[:1].upper() + text[1:] if re.match(r'[a-z]+[ ,]', text) else text


def options_made(lines):
    made = []
    for names, text in options_of(lines):
        if names is None:
            made.append(f'.PP\n{escaped(text)}')
        else:
            marked = ', '.join(name_marked(name) for name in names.split(', '))
            made.append(f'.TP\n{marked}\n{escaped(sentence(text))}')
    return '\n'.join(made)


def synopsis_made(lines):
    """Of "Usage: vgpu-xen [OPTION...] DOMID SLOT"."""
    _, program, *words = lines[0].split()
    return f'.B {escaped(program)}\n' + '\n'.join(f'.I {escaped(word)}' for word in words)


def main():
    program, template, output = sys.argv[1:]
    lines = help_of(program)
    replacements = {
        '@SYNOPSIS@': lambda: synopsis_made(lines),
        '@OPTIONS@': lambda: options_made(lines),
        '@USAGE@': lambda: '.nf\n' + '\n'.join(escaped(line) for line in lines) + '\n.fi',
    }
    with open(template, encoding='utf-8') as file:
        page = [replacements.get(line, lambda line=line: line)() for line in file.read().splitlines()]
    with open(output, 'w', encoding='utf-8') as file:
        file.write('\n'.join(page) + '\n')


if __name__ == '__main__':
    main()
