/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor against a hostile guest: whatever is in the ring, it answers, or
 * ends with a fault that it has told the mediator. It never dies by a signal and
 * never hangs; the strict driver turns any stale or wrong handle that slips
 * through into an abort.
 *
 * VGPU_TEST_SEED repeats a run; the seed is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "peer.h"
#include "victim.h"

#define RANDOM_RECORDS 20000
#define RANDOM_RINGS   60

static struct peer peer;
static uint32_t context;
static uint64_t device_address;
static uint64_t random_state;

static uint64_t random_next(void)
{
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static void victim_open(void)
{
	struct victim victim;

	victim_make(&peer, &victim);
	context = victim.context;
	device_address = victim.device_address;
}

/* It must have ended in order: told the mediator why, no signal. */
static void end_check(const char *what)
{
	struct peer_end end = peer_wait(&peer);

	if (end.by_signal || end.message != VGPU_CONTROL_EXECUTOR_FAULT)
		fail_msg("%s: the executor ended with %s %d, last message %u (%s)", what,
			 end.by_signal ? "signal" : "status", end.status, end.message, end.text);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
	assert_true(end.text[0]);
}

/* A request, then a question: it is answered, or the executor has ended in order and a new one is there. */
static void request_try(const struct victim_shape *shape, const void *payload, size_t bytes)
{
	struct vgpu_snapshot_request question = {0};

	if (victim_descriptor_pass(&peer, shape) &&
	    peer_post(&peer, shape->opcode, VGPU_FLAG_REPLY, context, payload, bytes) &&
	    peer_call(&peer, VGPU_OPCODE_SNAPSHOT, 0, &question, sizeof(question)) == CUDA_SUCCESS)
		return;
	if (!peer_has_ended(&peer))
		fail_msg("%s: the executor hangs", shape->name);
	end_check(shape->name);
	victim_open();
}

/* A value that a careless check lets through. */
static uint32_t word_nasty(void)
{
	static const uint32_t kinds[] = {0,  1,	    0xffffffff, 0x7fffffff, 0x80000000, 0xfffffff8,
					 64, 65536, 0x1000000,	0x1ffffff,  0xff000001};
	uint64_t choice = random_next() % 24;

	if (choice < sizeof(kinds) / sizeof(kinds[0]))
		return kinds[choice];
	if (choice < 21)
		return VGPU_ID(random_next() % (VGPU_KIND_COUNT + 1), random_next() % 4);
	return (uint32_t)random_next();
}

static void request_fill(uint8_t *payload, size_t bytes)
{
	for (size_t at = 0; at + 4 <= bytes; at += 4) {
		uint32_t word = word_nasty();

		memcpy(payload + at, &word, sizeof(word));
	}
	/* Here and there an address that is one. */
	if (bytes >= 8 && random_next() % 4 == 0)
		memcpy(payload + random_next() % (bytes / 8) * 8, &device_address, sizeof(device_address));
}

static void truncated_requests(void **state)
{
	static uint8_t zeros[VICTIM_REQUEST_BYTES_MAX];

	(void)state;
	victim_open();
	for (size_t i = 1; i < victim_shape_count; i++) {
		assert_true(victim_shapes[i].bytes <= sizeof(zeros));
		for (size_t bytes = 0; bytes < victim_shapes[i].bytes; bytes += 8) {
			assert_true(peer_post(&peer, victim_shapes[i].opcode, VGPU_FLAG_REPLY, context, zeros, bytes));
			end_check(victim_shapes[i].name);
			victim_open();
		}
	}
	assert_false(peer_close(&peer).by_signal);
}

/* Each word of each request becomes nasty, the others stay zero or valid. */
static void corrupt_words(void **state)
{
	uint8_t payload[VICTIM_REQUEST_BYTES_MAX] = {0};

	(void)state;
	victim_open();
	for (size_t i = 1; i < victim_shape_count; i++) {
		for (size_t at = 0; at + 4 <= victim_shapes[i].bytes; at += 4) {
			for (int turn = 0; turn < 6; turn++) {
				uint32_t word = word_nasty();

				memset(payload, 0, sizeof(payload));
				memcpy(payload + at, &word, sizeof(word));
				request_try(&victim_shapes[i], payload, victim_shapes[i].bytes);
			}
		}
	}
	assert_false(peer_close(&peer).by_signal);
}

/* A name behind the request, and its length wherever the request may have it; the new size. */
static size_t tail_append(uint8_t *payload, size_t bytes)
{
	static const char name[8] = "add";
	uint32_t name_bytes = sizeof(name);

	memcpy(payload + bytes - 4, &name_bytes, sizeof(name_bytes));
	if (random_next() % 2)
		memcpy(payload + bytes - 8, &name_bytes, sizeof(name_bytes));
	memcpy(payload + bytes, name, sizeof(name));
	return bytes + sizeof(name);
}

static void random_requests(void **state)
{
	uint8_t payload[VICTIM_REQUEST_BYTES_MAX];

	(void)state;
	victim_open();
	for (int i = 0; i < RANDOM_RECORDS; i++) {
		/* Mostly calls: the protocol's own requests soon end the channel. */
		bool is_own = random_next() % 64 == 0;
		const struct victim_shape *shape =
			is_own ? &victim_shapes[1 + random_next() % (victim_own_shape_count - 1)]
			       : &victim_shapes[victim_own_shape_count +
						random_next() % (victim_shape_count - victim_own_shape_count)];
		size_t bytes = shape->bytes + (random_next() % 4) * 8;
		uint32_t named = random_next() % 8 ? context : VGPU_ID(VGPU_KIND_CONTEXT, random_next() % 4);

		request_fill(payload, bytes);
		if (shape->bytes >= 8 && random_next() % 16)
			bytes = tail_append(payload, shape->bytes);
		if (!victim_descriptor_pass(&peer, shape) ||
		    !peer_post(&peer, shape->opcode, VGPU_FLAG_REPLY, named, payload, bytes) || peer_has_ended(&peer)) {
			end_check(shape->name);
			victim_open();
		}
		if (i % 64 == 0)
			request_try(&victim_shapes[1], "\0\0\0\0\0\0\0", 8);
		peer_replies_drop(&peer);
	}
	assert_false(peer_close(&peer).by_signal);
}

/* The ring itself: bytes and indices of any value. */
static void garbage_in_the_ring(void **state)
{
	(void)state;
	for (int i = 0; i < RANDOM_RINGS; i++) {
		uint8_t *ring;
		uint64_t one = 1;

		victim_open();
		ring = peer.channel + peer.header->command_ring_offset;
		for (size_t at = 0; at + 8 <= 65536; at += 8) {
			uint64_t word = i % 2 ? random_next() : random_next() % 512;

			memcpy(ring + (peer.header->command.tail + at) % peer.header->command_ring_bytes, &word, 8);
		}
		switch (i % 4) {
		case 0:
			peer.header->command.tail += 65536;
			break;
		case 1:
			peer.header->command.tail = random_next();
			break;
		case 2:
			peer.header->command.tail -= 8;
			break;
		default:
			peer.header->command.tail += 8 * (1 + random_next() % 8);
			/* The executor's own copies count, not what stands here. */
			peer.header->command_ring_bytes = 0xffffffff;
			peer.header->upload_bytes = 0;
			peer.header->reply_ring_offset = 0xffffffff;
			break;
		}
		assert_int_equal(write(peer.doorbell, &one, sizeof(one)), sizeof(one));
		end_check("garbage");
	}
}

static void reply_index_out_of_range(void **state)
{
	struct vgpu_snapshot_request question = {0};

	(void)state;
	victim_open();
	peer.header->reply.head = 0x1000000;
	/* It looks at the index when the ring seems full. */
	for (int i = 0; i < 2000 && !peer_has_ended(&peer); i++) {
		if (!peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)))
			break;
	}
	end_check("reply index");
}

static void silence_about_replies(void **state)
{
	struct vgpu_snapshot_request question = {0};
	struct wire_cuStreamSynchronize wait = {0};

	(void)state;
	victim_open();
	/* Never takes one; the executor stops taking commands, and is still there. */
	for (int i = 0; i < 300; i++)
		assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)));
	for (int i = 0; i < 10000; i++)
		assert_true(
			peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &wait, sizeof(wait)));
	usleep(200000);
	assert_false(peer_has_ended(&peer));
	assert_false(peer_close(&peer).by_signal);
}

static void no_hello(void **state)
{
	struct vgpu_snapshot_request question = {0};

	(void)state;
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)));
	end_check("no HELLO");
}

static void two_hellos(void **state)
{
	struct vgpu_hello hello = {.version = VGPU_PROTOCOL_VERSION, .api_checksum = VGPU_API_CHECKSUM};

	(void)state;
	victim_open();
	assert_true(peer_post(&peer, VGPU_OPCODE_HELLO, VGPU_FLAG_REPLY, 0, &hello, sizeof(hello)));
	end_check("two HELLOs");
}

static void another_version(void **state)
{
	struct vgpu_hello hello = {.version = VGPU_PROTOCOL_VERSION, .api_checksum = VGPU_API_CHECKSUM + 1};
	struct vgpu_hello_reply reply;
	struct vgpu_snapshot_request question = {0};

	(void)state;
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.api_checksum, VGPU_API_CHECKSUM);
	assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)));
	end_check("another version");
	/* Nor does a second HELLO help; each would be a line of the log. */
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	assert_true(peer_post(&peer, VGPU_OPCODE_HELLO, VGPU_FLAG_REPLY, 0, &hello, sizeof(hello)));
	end_check("another version twice");
}

/* One STAGE record with so many bytes of data behind it. */
static void stage_post(uint64_t total, uint64_t offset, uint32_t bytes, uint32_t source, uint64_t position)
{
	struct {
		struct vgpu_stage stage;
		uint8_t data[64];
	} record = {.stage = {.total_bytes = total,
			      .offset = offset,
			      .bytes = bytes,
			      .source = source,
			      .window_position = position}};

	assert_true(peer_post(&peer, VGPU_OPCODE_STAGE, 0, context, &record, sizeof(record)));
}

static void stage_abuse(void **state)
{
	static const struct {
		const char *what;
		uint64_t total, offset;
		uint32_t bytes, source;
		uint64_t position;
	} cases[] = {
		{"a gap", 128, 8, 64, 0, 0},
		{"more than promised", 32, 0, 64, 0, 0},
		{"more than the record has", 4096, 0, 4096, 0, 0},
		{"a source that there is not", 64, 0, 64, 2, 0},
		{"beyond the window", 1 << 30, 0, 1 << 30, 1, 0},
		{"a position far ahead", 64, 0, 64, 1, 1ull << 60},
		{"a position that wraps", 64, 0, 64, 1, UINT64_MAX - 8},
		{"an offset that wraps", UINT64_MAX, UINT64_MAX - 8, 64, 0, 0},
	};
	struct wire_cuModuleLoadDataEx load = {.module = VGPU_ID(VGPU_KIND_MODULE, 2), .image_kind = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		victim_open();
		stage_post(cases[i].total, cases[i].offset, cases[i].bytes, cases[i].source, cases[i].position);
		end_check(cases[i].what);
	}
	victim_open();
	/* Promised, not sent. */
	stage_post(1 << 20, 0, 64, 0, 0);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &load, sizeof(load)),
			 CUDA_ERROR_INVALID_IMAGE);
	/* Nothing staged at all. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &load, sizeof(load)),
			 CUDA_ERROR_INVALID_IMAGE);
	/* More than anybody may stage: an error, not gigabytes. */
	stage_post(1ull << 40, 0, 64, 0, 0);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &load, sizeof(load)),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_false(peer_close(&peer).by_signal);
}

static void windows_out_of_range(void **state)
{
	static const struct vgpu_upload uploads[] = {
		{.bytes = 1ull << 40},
		{.bytes = UINT64_MAX, .window_position = 64},
		{.bytes = 64, .window_position = 1ull << 40},
		{.bytes = 64, .window_position = UINT64_MAX - 16},
	};
	static const struct vgpu_download downloads[] = {
		{.bytes = 1ull << 40},
		{.bytes = 64, .window_offset = UINT64_MAX - 32},
		{.bytes = UINT64_MAX, .window_offset = 64},
		{.bytes = 64, .window_offset = 1ull << 31},
	};
	struct vgpu_upload_window_release release = {.position = 1ull << 50};
	struct vgpu_download_inline large = {.bytes = VGPU_RECORD_BYTES_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(uploads) / sizeof(uploads[0]); i++) {
		victim_open();
		assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD, 0, context, &uploads[i], sizeof(uploads[i])));
		end_check("upload");
	}
	for (size_t i = 0; i < sizeof(downloads) / sizeof(downloads[0]); i++) {
		victim_open();
		assert_true(peer_post(&peer, VGPU_OPCODE_DOWNLOAD, VGPU_FLAG_REPLY, context, &downloads[i],
				      sizeof(downloads[i])));
		end_check("download");
	}
	victim_open();
	assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD_WINDOW_RELEASE, 0, context, &release, sizeof(release)));
	end_check("release");
	victim_open();
	assert_true(peer_post(&peer, VGPU_OPCODE_DOWNLOAD_INLINE, VGPU_FLAG_REPLY, context, &large, sizeof(large)));
	end_check("inline download");
	/* The window used backwards: those bytes were given back. */
	victim_open();
	{
		struct vgpu_upload upload = {.destination = device_address, .bytes = 64, .window_position = 128};

		assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD, 0, context, &upload, sizeof(upload)));
		upload.window_position = 0;
		assert_true(peer_post(&peer, VGPU_OPCODE_UPLOAD, 0, context, &upload, sizeof(upload)));
		end_check("upload backwards");
	}
}

static void wrong_and_stale_handles(void **state)
{
	struct wire_cuStreamDestroy_v2 destroy = {.hStream = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuStreamCreate create = {.phStream = VGPU_ID(VGPU_KIND_STREAM, 1)};

	(void)state;
	victim_open();
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamDestroy_v2, context, &destroy, sizeof(destroy)),
			 CUDA_ERROR_INVALID_HANDLE);
	destroy.hStream = VGPU_ID(VGPU_KIND_STREAM, 1);
	/* Minted twice. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &create, sizeof(create)),
			 CUDA_ERROR_INVALID_HANDLE);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamDestroy_v2, context, &destroy, sizeof(destroy)),
			 CUDA_SUCCESS);
	/* Destroyed twice. */
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamDestroy_v2, context, &destroy, sizeof(destroy)),
			 CUDA_ERROR_INVALID_HANDLE);
	/* Beyond the cap, and of another kind. */
	create.phStream = VGPU_ID(VGPU_KIND_STREAM, VGPU_ID_INDEX_MAX);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &create, sizeof(create)),
			 CUDA_ERROR_OUT_OF_MEMORY);
	create.phStream = VGPU_ID(VGPU_KIND_MODULE, 9);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &create, sizeof(create)),
			 CUDA_ERROR_INVALID_HANDLE);
	/* Any id up to the cap works. */
	create.phStream = VGPU_ID(VGPU_KIND_STREAM, 16383);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &create, sizeof(create)), CUDA_SUCCESS);
	assert_false(peer_close(&peer).by_signal);
}

static int seed_choose(void **state)
{
	const char *text = getenv("VGPU_TEST_SEED");

	(void)state;
	random_state = text ? strtoull(text, NULL, 0) : ((uint64_t)time(NULL) << 20 | (uint64_t)getpid());
	if (!random_state)
		random_state = 1;
	fprintf(stderr, "# VGPU_TEST_SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_hello),
		cmocka_unit_test(two_hellos),
		cmocka_unit_test(another_version),
		cmocka_unit_test(wrong_and_stale_handles),
		cmocka_unit_test(stage_abuse),
		cmocka_unit_test(windows_out_of_range),
		cmocka_unit_test(reply_index_out_of_range),
		cmocka_unit_test(silence_about_replies),
		cmocka_unit_test(garbage_in_the_ring),
		cmocka_unit_test(truncated_requests),
		cmocka_unit_test(corrupt_words),
		cmocka_unit_test(random_requests),
	};

	return cmocka_run_group_tests_name("hostile guest", tests, seed_choose, NULL);
}
