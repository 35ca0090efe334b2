# SPDX-License-Identifier: Apache-2.0
"""Another way to the integrity hash: HMAC over plain MD2 (RFC 1319, RFC 2104). Prints what test_integrity.c expects."""

import struct

# The substitution table is a shuffle by the digits of pi (RFC 1319, section 3.2); they are computed here.


def pi_digits():
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    while True:
        if 4 * q + r - t < n * t:
            yield n
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, l = (q * k, (2 * q + r) * l, t * l, k + 1,
                                (q * (7 * k + 2) + r * l) // (t * l), l + 2)


def substitution_table():
    digits = pi_digits()

    def draw(n):
        while True:
            x, limit = next(digits), 10
            if n > 10:
                x, limit = 10 * x + next(digits), 100
            if n > 100:
                x, limit = 10 * x + next(digits), 1000
            if x < n * (limit // n):
                return x % n

    table = list(range(256))
    for i in range(1, 256):
        j = draw(i + 1)
        table[i], table[j] = table[j], table[i]
    return table


TABLE = substitution_table()


def md2(message):
    padding = 16 - len(message) % 16
    message += bytes([padding]) * padding
    checksum, last = [0] * 16, 0
    for start in range(0, len(message), 16):
        for i in range(16):
            checksum[i] ^= TABLE[message[start + i] ^ last]
            last = checksum[i]
    message += bytes(checksum)
    state = [0] * 48
    for start in range(0, len(message), 16):
        for i in range(16):
            state[16 + i] = message[start + i]
            state[32 + i] = state[16 + i] ^ state[i]
        t = 0
        for turn in range(18):
            for i in range(48):
                state[i] ^= TABLE[t]
                t = state[i]
            t = (t + turn) % 256
    return bytes(state[:16])


assert md2(b'').hex() == '8350e5a3e24c153df2275c9f80692773'
assert md2(b'abc').hex() == 'da853b0d3f88d99b30283a69e6ded6bb'
assert md2(b'message digest').hex() == 'ab4f496bfb2a530b219ff33031fe06b0'

KEY = bytes.fromhex('146ADDAE53A9A752AA0841360BF55A9F')


def hmac(message):
    return md2(bytes(b ^ 0x5c for b in KEY) + md2(bytes(b ^ 0x36 for b in KEY) + message))


def integrity(process, devices):
    message = struct.pack('<IIIIQQQQ', *process)
    for uuid, *place in devices:
        message += uuid + struct.pack('<iii', *place)
    return struct.unpack('<QQ', hmac(message))


PROCESS = (13000, 13002, 4711, 0x89abcdef, 0x7f0000001000, 0x7f0000002000, 0x55550000abcd, 1700000000)
DEVICES = [(bytes(range(16)), 0, 1, 0), (bytes(range(100, 116)), 0, 0x41, 3)]
for count in range(3):
    print('{0x%016x, 0x%016x},' % integrity(PROCESS, DEVICES[:count]))
