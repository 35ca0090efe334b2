# SPDX-License-Identifier: Apache-2.0
"""The class of a call, by which its latency is counted (enum vgpu_call_class in protocol/vgpu_control.h)."""

import re

# The first that fits the call's name.
RULES = (
    ('LAUNCH', r'cuLaunch|cuGraphLaunch|cuStreamAddCallback'),
    ('COPY', r'cuMemcpy|cuMemset'),
    ('SYNCHRONIZE', r'cu\w+Synchronize|cu(Stream|Event)Query|cuEventRecord|cuCtx(Record|Wait)Event|'
                    r'cuStream(Wait|WriteValue|BatchMemOp)'),
    ('MEMORY', r'cuMem|cuArray|cuMipmappedArray|cuIpc\w*Mem'),
    ('MODULE', r'cuModule|cuLibrary|cuKernel|cuFunc|cuLink'),
)
OTHER = 'OTHER'


def call_class(name):
    for result, pattern in RULES:
        if re.match(pattern, name):
            return result
    return OTHER
