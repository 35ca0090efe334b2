/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test host and the agent in the guest say to each other over a
 * virtio-serial port.  The other speaker is tests/vm/guest.py.
 *
 * Every message is a struct agent_header followed by 'bytes' bytes, all
 * little-endian.  The host sends one request and reads replies up to DONE:
 *   RUN  u32 timeout in ms, then a shell command   -> OUTPUT..., DONE (exit status; 128 + signal; 124 timeout)
 *   PUT  u32 mode, u32 path length, path, content  -> DONE (0 or errno)
 *   GET  path                                      -> OUTPUT..., DONE (0 or errno)
 * The agent says HELLO once when it starts.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdint.h>

#define AGENT_PORT	"vgpu.agent"
#define AGENT_MAGIC	0x544e4741 /* "AGNT" */
#define AGENT_BYTES_MAX (1u << 30)

enum agent_type {
	AGENT_HELLO = 0,
	AGENT_RUN = 1,
	AGENT_PUT = 2,
	AGENT_GET = 3,
	AGENT_OUTPUT = 4,
	AGENT_DONE = 5,
};

struct agent_header {
	uint32_t magic;
	uint32_t type;
	uint32_t status; /* with DONE */
	uint32_t bytes;	 /* of what follows */
};

#endif
