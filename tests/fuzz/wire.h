/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link (host/worker/link.h) whose other side is the fuzzer's input: TLS gives what is in the input's steps, as if it
 * had come encrypted, and takes anything. Who links it has the linker put the functions of wire.c in for OpenSSL's
 * and for records_hold() (meson.build).
 */
#ifndef TEST_FUZZ_WIRE_H
#define TEST_FUZZ_WIRE_H

#include <openssl/ssl.h>

#include "steps.h"
#include "vgpu_ring.h"

/* Kinds of steps; others are the target's. */
enum wire_step {
	WIRE_BYTES, /* the other side sends them */
	WIRE_ROOM,  /* 'value': so many times 64 bytes, and 64, are taken at once from now on, then none for a moment */
	WIRE_STEP_COUNT,
};

/* What others do between two pieces that come, at a step of their kinds. */
typedef void wire_act(const struct step *step, const uint8_t *data);

/*
 * What comes over links from now on: an input's steps; after the last one it is their end. 'poisons': who reads is not
 * to look behind what has come, into the room that it has for more.
 */
void wire_begin(const uint8_t *input, size_t bytes, wire_act *act, bool poisons);

/* For link_create(): a socket that poll() finds ready for everything. */
int wire_socket(void);
SSL_CTX *wire_context(void);

/* Puts a step's bytes into a ring as a record, with the length that they have, if there is room. */
void wire_record_post(struct ring *ring, const struct step *step, const uint8_t *data);

#endif
