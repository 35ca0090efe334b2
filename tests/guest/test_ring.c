/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring between two processes that sleep and wake each other, with records of
 * all lengths; and against a side that writes garbage.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "vgpu_ring.h"

#define RING_BYTES (256u << 10)

struct shared {
	struct vgpu_ring_indices indices;
	_Alignas(64) uint8_t data[RING_BYTES];
};

static struct shared *shared_make(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	return shared;
}

/* The same sequence of lengths and contents on both sides. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static uint32_t record_length(uint32_t *state, bool small)
{
	uint32_t random = next_random(state);
	uint32_t limit = small || random % 64 ? 256 : VGPU_RECORD_BYTES_MAX - sizeof(struct vgpu_record);

	return (uint32_t)sizeof(struct vgpu_record) + (random >> 8) % (limit / 8) * 8;
}

static void wait_for(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	uint64_t count;

	/* A lost wake-up shows as a hang, which must not last. */
	if (poll(&poller, 1, 20000) <= 0)
		_exit(3);
	if (read(fd, &count, sizeof(count)) < 0)
		_exit(4);
}

static void notify(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		_exit(5);
}

static void produce(struct shared *shared, int doorbell, int room, uint32_t count, bool small, uint32_t pause)
{
	uint32_t random = 12345;
	struct ring ring;

	ring_attach(&ring, &shared->indices, shared->data, RING_BYTES);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = record_length(&random, small);
		struct vgpu_record *record;
		enum ring_status status;
		void *place;

		while ((status = ring_reserve(&ring, length, &place)) == RING_FULL) {
			if (ring_prepare_wait(&ring, length) == RING_FULL)
				wait_for(room);
		}
		if (status != RING_OK)
			_exit(6);
		record = place;
		*record = (struct vgpu_record){.length = length, .opcode = 9, .sequence = i};
		memset(record + 1, (int)(i & 0xff), length - sizeof(*record));
		if (ring_commit(&ring))
			notify(doorbell);
		if (pause && i % pause == 0)
			usleep(50);
	}
}

static void consume(struct shared *shared, int doorbell, int room, uint32_t count, bool small, uint32_t pause)
{
	static uint8_t buffer[VGPU_RECORD_BYTES_MAX];
	uint32_t random = 12345;
	struct ring ring;

	ring_attach(&ring, &shared->indices, shared->data, RING_BYTES);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = record_length(&random, small);
		struct vgpu_record record;
		enum ring_status status;

		while ((status = ring_take(&ring, buffer, sizeof(buffer))) == RING_EMPTY) {
			if (ring_prepare_sleep(&ring) == RING_EMPTY)
				wait_for(doorbell);
			ring_wake(&ring);
		}
		assert_int_equal(status, RING_OK);
		if (ring_producer_waits(&ring))
			notify(room);
		memcpy(&record, buffer, sizeof(record));
		assert_int_equal(record.sequence, i);
		assert_int_equal(record.length, length);
		for (uint32_t at = sizeof(record); at < length; at += 97)
			assert_int_equal(buffer[at], i & 0xff);
		if (length > sizeof(record))
			assert_int_equal(buffer[length - 1], i & 0xff);
		if (pause && i % pause == 0)
			usleep(50);
	}
}

static void exchange(uint32_t count, bool small, uint32_t producer_pause, uint32_t consumer_pause)
{
	struct shared *shared = shared_make();
	int doorbell = eventfd(0, 0);
	int room = eventfd(0, 0);
	int status;
	pid_t child;

	assert_true(doorbell >= 0 && room >= 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		produce(shared, doorbell, room, count, small, producer_pause);
		_exit(0);
	}
	consume(shared, doorbell, room, count, small, consumer_pause);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(doorbell);
	close(room);
	munmap(shared, sizeof(*shared));
}

static void test_fast(void **state)
{
	(void)state;
	exchange(3000000, true, 0, 0);
}

static void test_lengths(void **state)
{
	(void)state;
	exchange(200000, false, 0, 0);
}

static void test_slow_producer(void **state)
{
	(void)state;
	exchange(20000, true, 5, 0);
}

static void test_slow_consumer(void **state)
{
	(void)state;
	exchange(20000, false, 0, 7);
}

static void commit_one(struct ring *ring, uint32_t length)
{
	struct vgpu_record *record;
	void *place;

	assert_int_equal(ring_reserve(ring, length, &place), RING_OK);
	record = place;
	*record = (struct vgpu_record){.length = length, .opcode = 9};
	ring_commit(ring);
}

/* What a consumer makes of one corrupted word, whether it looks first or takes; a ring that is broken stays so. */
static enum ring_status taken_after(void (*corrupt)(struct shared *shared))
{
	static uint8_t buffer[VGPU_RECORD_BYTES_MAX];
	struct shared *shared = shared_make();
	struct ring producer, consumer, looking;
	enum ring_status status;
	uint16_t opcode = 0;

	ring_attach(&producer, &shared->indices, shared->data, RING_BYTES);
	ring_attach(&consumer, &shared->indices, shared->data, RING_BYTES);
	looking = consumer;
	commit_one(&producer, 64);
	corrupt(shared);
	status = ring_take(&consumer, buffer, sizeof(buffer));
	assert_int_equal(ring_peek(&looking, &opcode), status);
	assert_int_equal(opcode, status == RING_OK ? 9 : 0);
	if (status == RING_FATAL)
		assert_int_equal(ring_take(&consumer, buffer, sizeof(buffer)), RING_FATAL);
	munmap(shared, sizeof(*shared));
	return status;
}

static void nothing(struct shared *shared)
{
	(void)shared;
}

static void tail_too_far(struct shared *shared)
{
	shared->indices.tail = RING_BYTES + 8;
}

static void tail_huge(struct shared *shared)
{
	shared->indices.tail = UINT64_MAX - 7;
}

static void length_zero(struct shared *shared)
{
	memset(shared->data, 0, 4);
}

static void length_odd(struct shared *shared)
{
	shared->data[0] = 65;
}

static void length_long(struct shared *shared)
{
	shared->data[1] = 0xff;
}

static void length_short(struct shared *shared)
{
	shared->data[0] = 8;
}

static void pad_early(struct shared *shared)
{
	memset(shared->data + 4, 0, 2);
}

static void test_corruption(void **state)
{
	(void)state;
	assert_int_equal(taken_after(nothing), RING_OK);
	assert_int_equal(taken_after(tail_too_far), RING_FATAL);
	assert_int_equal(taken_after(tail_huge), RING_FATAL);
	assert_int_equal(taken_after(length_zero), RING_FATAL);
	assert_int_equal(taken_after(length_odd), RING_FATAL);
	assert_int_equal(taken_after(length_long), RING_FATAL);
	assert_int_equal(taken_after(length_short), RING_FATAL);
	assert_int_equal(taken_after(pad_early), RING_FATAL);
}

/* A head that goes back, or past the tail, ends the producer's belief in it. */
static void test_bad_head(void **state)
{
	struct shared *shared = shared_make();
	struct ring producer;
	enum ring_status status = RING_OK;
	void *place;

	(void)state;
	ring_attach(&producer, &shared->indices, shared->data, RING_BYTES);
	commit_one(&producer, 64);
	shared->indices.head = 72;
	for (uint32_t i = 0; i < RING_BYTES && status == RING_OK; i += 4096) {
		status = ring_reserve(&producer, 4096, &place);
		if (status == RING_OK)
			ring_commit(&producer);
		shared->indices.head = producer.own + 8;
	}
	assert_int_equal(status, RING_FATAL);
	munmap(shared, sizeof(*shared));
}

/* A consumer fed with noise neither crashes nor reads past the ring. */
static void test_noise(void **state)
{
	static uint8_t buffer[VGPU_RECORD_BYTES_MAX];
	struct shared *shared = shared_make();

	(void)state;
	srand(3);
	for (int round = 0; round < 2000; round++) {
		struct ring consumer;

		for (size_t i = 0; i < 4096; i += 4) {
			uint32_t word = (uint32_t)rand();

			if (word % 3)
				word &= 0x78;
			memcpy(shared->data + i, &word, 4);
		}
		shared->indices.tail = (uint64_t)rand() % RING_BYTES;
		shared->indices.head = 0;
		ring_attach(&consumer, &shared->indices, shared->data, RING_BYTES);
		while (ring_take(&consumer, buffer, sizeof(buffer)) == RING_OK)
			;
	}
	munmap(shared, sizeof(*shared));
}

/* A producer that waits for room is told, though the consumer gives room back in pieces only. */
static void test_room_is_told(void **state)
{
	static const uint32_t lengths[] = {16, 64, 1000, 4096};
	static uint8_t buffer[VGPU_RECORD_BYTES_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct shared *shared = shared_make();
		struct ring producer, consumer;
		void *place;

		ring_attach(&producer, &shared->indices, shared->data, RING_BYTES);
		ring_attach(&consumer, &shared->indices, shared->data, RING_BYTES);
		for (int turn = 0; turn < 50; turn++) {
			bool told = false;

			while (ring_reserve(&producer, lengths[i], &place) == RING_OK) {
				((struct vgpu_record *)place)->length = lengths[i];
				((struct vgpu_record *)place)->opcode = 1;
				ring_commit(&producer);
			}
			/* One record taken may be room enough, and is not said yet. */
			assert_int_equal(ring_take(&consumer, buffer, sizeof(buffer)), RING_OK);
			while (ring_prepare_wait(&producer, lengths[i]) == RING_FULL && !told) {
				assert_int_equal(ring_take(&consumer, buffer, sizeof(buffer)), RING_OK);
				if (consumer.own == consumer.other || turn % 2)
					told = ring_producer_waits(&consumer);
			}
			while (ring_take(&consumer, buffer, sizeof(buffer)) == RING_OK)
				;
			assert_int_equal(consumer.own, producer.own);
			assert_int_equal(shared->indices.head, shared->indices.tail);
			assert_int_equal(ring_prepare_wait(&producer, lengths[i]), RING_OK);
			assert_int_equal(shared->indices.producer_waits, 0);
		}
		munmap(shared, sizeof(*shared));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast),	      cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_slow_producer), cmocka_unit_test(test_slow_consumer),
		cmocka_unit_test(test_corruption),    cmocka_unit_test(test_bad_head),
		cmocka_unit_test(test_noise),	      cmocka_unit_test(test_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
