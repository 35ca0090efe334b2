/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection between vgpu-relay on a GPU-less host and vgpu-worker: TCP with
 * TLS 1.3, one for each channel, so that no guest process waits behind another's
 * data and a broken one takes nothing else along.
 *
 * It carries frames: a struct link_frame and its payload.  Nothing here blocks but
 * link_handshake(); what does not leave at once stays in a buffer of LINK_OUT_BYTES,
 * and who finds it full stops producing.  Both sides say at least once in
 * LINK_ALIVE_MS that they are there; one that is silent for the time that the
 * other allows is lost, also when no packet tells (half-open connections).
 *
 * One thread uses a link.
 */
#ifndef WORKER_LINK_H
#define WORKER_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_control.h"
#include "vgpu_schedule.h"

#define LINK_VERSION	       8u
#define LINK_PAYLOAD_BYTES_MAX (256u << 10)
#define LINK_OUT_BYTES	       (2u << 20)
#define LINK_EARLY_BYTES       4096u /* of them, for link_put_early() alone */
#define LINK_ALIVE_MS	       1000
#define LINK_SILENCE_MS	       10000 /* unless the command line says otherwise */

enum link_frame_type {
	LINK_OPEN = 1, /* relay: struct link_open, the first frame */
	LINK_STATUS,   /* worker: struct link_status: the answer to OPEN, and later the end of the executor */
	LINK_COMMANDS, /* relay: records of the command ring, one after the other */
	LINK_UPLOAD,   /* relay: struct link_place, then bytes of the upload window, before the record that uses them */
	LINK_REPLIES,  /* worker: records of the reply ring */
	LINK_DOWNLOAD, /* worker: struct link_place, then bytes of the download window, before the reply */
	LINK_RELEASED, /* worker: struct link_place: upload_released */
	LINK_DEFERRED, /* worker: struct link_place: deferred_error */
	LINK_COUNTERS, /* worker: struct vgpu_executor_counters; also the sign of life */
	LINK_ALIVE,    /* relay, and worker in a watch: nothing but a sign of life */
	LINK_CLOSE,    /* relay: end the executor; the worker answers with LINK_COUNTERS and closes */
	LINK_CALLED,   /* worker: struct link_function, then the piece that it delivers: the guest is to call it */
	LINK_RETURNED, /* relay: struct link_place: functions_returned, then the piece that was fetched */
	LINK_TAKEN,    /* both: struct link_place: bytes of records in the ring, since the start */
	LINK_PERMIT,   /* relay: struct link_permit: the permit page has changed */
	LINK_SCHEDULE, /* worker: struct link_schedule: so has what the executor claims */
	LINK_UPLOAD_PACKED,   /* relay: struct link_packed, then the bytes of an UPLOAD as a frame of zstd */
	LINK_DOWNLOAD_PACKED, /* worker: the same of a DOWNLOAD, if the relay has asked for it */
	LINK_TEXT,  /* worker: text, as it comes: of a watch what the GPUs do, else lines for the host's log */
	LINK_OFFER, /* worker: struct link_lane, after OPEN: the relay is to open that many lanes, which say the same */
	LINK_LANE,  /* relay: struct link_lane, the first frame of a lane (lane.h); the answer is a STATUS */
	LINK_LANES, /* relay: struct link_place, after an OFFER: so many of the lanes there are */
	LINK_FRAME_TYPE_COUNT,
};

/* No tenant has more, whatever a worker's executor says: sums of it cannot overflow. */
#define LINK_AMOUNT_MAX (UINT64_C(1) << 48)

#define LINK_HOST_BYTES	    64
#define LINK_LINE_BYTES_MAX 512 /* of a TEXT in a channel: one line for the host's log, with its end */

#define LINK_FLAG_PACK	  1u /* downloads may be packed */
#define LINK_FLAG_WATCH	  2u /* no channel: the answer to OPEN is followed by TEXT and signs of life (watch.h) */
#define LINK_FLAG_SENSORS 8u /* of a watch: what the GPUs' sensors say is wanted */
#define LINK_FLAG_LASTING 4u /* the tenant is known again by its name, so there may be a compute cache for it */

/* Little-endian, like all that goes over the wire. */
struct link_frame {
	uint32_t bytes; /* of the payload, at most LINK_PAYLOAD_BYTES_MAX */
	uint32_t type;
};

struct link_open {
	uint32_t version; /* LINK_VERSION */
	uint32_t vm_id;
	uint32_t channel;
	uint32_t pool_id;
	uint64_t channel_bytes;
	/* Whose limits hold: the worker has one account for each of a host's tenants. NUL-terminated. */
	char host[LINK_HOST_BYTES];
	char tenant[VGPU_CONTROL_TENANT_BYTES];
	uint32_t flags;
	uint32_t lanes;		    /* that the relay would open */
	uint64_t process_namespace; /* without a VM: the programs of a tenant that are in one see each other; 0: none */
	uint32_t window_bytes;	    /* of each of the channel's windows: places in them are the same on both sides */
	uint32_t reserved;
};

/* As in the permit page, but for the time: each machine has a clock of its own. */
struct link_permit {
	uint32_t word;
	uint32_t drain_us;
	uint64_t left_ns; /* until the slice is over, when this was sent; VGPU_TIME_NEVER: it is not */
	uint32_t burst_count;
	uint32_t reserved;
	uint64_t burst_ns;
	uint64_t linger_ns;
	struct vgpu_limits limits;
	uint64_t slow_call_ms;
};

struct link_schedule {
	uint32_t word;				   /* of the permit page that the executor had before this was read */
	uint32_t is_overdue;			   /* a kernel takes longer than it may */
	uint64_t arrived;			   /* bytes of records, before this was read */
	struct vgpu_executor_schedule claims;	   /* deadline_ns means nothing here */
	uint32_t pci_places[VGPU_COUNTED_DEVICES]; /* of the devices that it counts */
};

/* An executor may claim anything: neither side takes more. */
static inline bool link_charges_are_valid(const struct vgpu_executor_schedule *claims)
{
	return claims->memory_charged <= LINK_AMOUNT_MAX && claims->pinned_charged <= LINK_AMOUNT_MAX &&
	       claims->handles <= LINK_AMOUNT_MAX;
}

struct link_status {
	uint32_t error;	    /* enum vgpu_channel_error; none: ready */
	uint32_t pci_place; /* of EXECUTOR_HUNG: the GPU (VGPU_PCI_PLACE); one that is none: it is not known */
	char text[VGPU_CONTROL_TEXT_BYTES];
};

struct link_place {
	uint64_t value; /* a position, an offset or a word, as the frame's type says */
};

#define LINK_TOKEN_BYTES 32

struct link_lane {
	uint32_t version;		 /* LINK_VERSION */
	uint32_t count;			 /* of an offer */
	uint8_t token[LINK_TOKEN_BYTES]; /* random, and of this channel alone */
};

struct link_packed {
	uint64_t place; /* as in struct link_place */
	uint32_t bytes; /* unpacked, at most PACKING_PIECE_BYTES */
	uint32_t reserved;
};

/* A host function, as in the channel's header. */
struct link_function {
	uint64_t function;
	uint32_t status;
	uint32_t called;
	uint32_t use;
	uint32_t piece_bytes;
	uint64_t piece_offset;
};

struct link {
	int socket;
	SSL *ssl;
	uint8_t *in;
	size_t in_begin, in_end;
	uint8_t *out;
	size_t out_begin, out_end;
	size_t open_frame;    /* where the header of the frame is that may still grow; SIZE_MAX: none */
	size_t next_frame;    /* the first frame of which nothing has left */
	uint64_t sent_bytes;  /* that the kernel has taken */
	uint32_t key_records; /* of TLS, under this key */
	bool is_blocked;      /* a record of TLS waits for room in the socket */
	uint64_t heard_ms;    /* when something last came */
	uint64_t alive_ms;    /* when a sign of life is due */
	char reason[160];     /* why it was lost */
};

struct link_view {
	enum link_frame_type type;
	const uint8_t *payload; /* until link_consume() */
	uint32_t bytes;
};

/* Takes the socket over, also when it fails. 0, or -ENOMEM. */
int link_create(struct link *link, SSL_CTX *context, int socket);
void link_destroy(struct link *link);

/* Blocks for at most timeout_ms. False: see reason. */
bool link_handshake(struct link *link, bool is_server, int timeout_ms);

/* Bytes of payload for which there is room in the buffer now. */
size_t link_room(const struct link *link);

/*
 * Room for 'bytes' of payload, to be filled in before the next call; the caller has looked at
 * link_room(). With 'append' they go on a frame of the same type that has not left yet.
 */
void *link_put(struct link *link, enum link_frame_type type, uint32_t bytes, bool append);

/*
 * Room before what has not begun to leave, for what must not wait behind bulk data. NULL: there is none now, for
 * LINK_EARLY_BYTES wait already.
 */
void *link_put_early(struct link *link, enum link_frame_type type, uint32_t bytes);

/* Sends what the network takes, reads what is there. False: the link is lost, see reason. */
bool link_flush(struct link *link);
bool link_fill(struct link *link);

/* No more frames: their buffers are given back. Only link_write() and link_read() are left, and link_destroy(). */
void link_frames_end(struct link *link);

/* Bytes that TLS has taken or given; 0: none now, or the link is lost, and then there is a reason. */
size_t link_write(struct link *link, const void *data, size_t bytes);
size_t link_read(struct link *link, void *data, size_t bytes);

/* The next whole frame; 1: there is one, 0: not yet, -1: what came is none, see reason. */
int link_peek(struct link *link, struct link_view *ret_view);
void link_consume(struct link *link, const struct link_view *view);

/* Nothing waits to be sent. */
static inline bool link_is_flushed(const struct link *link)
{
	return link->out_begin == link->out_end;
}

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t link_now_ms(void);

#endif
