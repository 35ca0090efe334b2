/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads on one channel: each gets its own reply, whatever the order, the load and the end. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "channel_calls.h"
#include "transfer.h"

struct session session; /* of transfer.c */

#define THREADS 8

struct worker {
	struct channel *channel;
	uint32_t number;
	uint32_t rounds;
	uint32_t largest; /* payload, in words */
	CUresult result;
	bool wrong;
};

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	static __thread uint32_t sent[16000], got[16000];
	uint32_t random = worker->number + 77;

	for (uint32_t i = 0; i < worker->rounds && !worker->result; i++) {
		struct channel_waiter waiter = {.reply = got, .capacity = sizeof(got)};
		uint32_t words;

		random = random * 1664525 + 1013904223;
		words = 2 + (random >> 8) % worker->largest / 2 * 2;
		sent[0] = i % 50 ? 0 : 600 + worker->number;
		for (uint32_t at = 1; at < words; at++)
			sent[at] = random + at;
		worker->result = post(worker->channel, FAKE_ECHO, sent, words * 4, &waiter);
		if (worker->result)
			break;
		if ((uint32_t)channel_await(worker->channel, &waiter) != sent[0] || waiter.bytes != words * 4 ||
		    memcmp(sent, got, words * 4) != 0) {
			worker->wrong = true;
			break;
		}
	}
	return NULL;
}

static void threads_run(size_t count, uint32_t rounds, uint32_t largest, bool lazy)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, lazy);
	struct channel *channel = channel_make(fake);
	struct worker workers[THREADS] = {0};
	pthread_t threads[THREADS];

	for (size_t i = 0; i < count; i++) {
		workers[i] = (struct worker){
			.channel = channel, .number = (uint32_t)i, .rounds = rounds, .largest = largest};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
	}
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].wrong);
		assert_int_equal(workers[i].result, CUDA_SUCCESS);
	}
	end(fake, channel);
}

static void test_one_thread(void **state)
{
	(void)state;
	threads_run(1, 20000, 64, false);
}

static void test_many_threads(void **state)
{
	(void)state;
	threads_run(THREADS, 10000, 64, false);
}

static void test_many_threads_lazy(void **state)
{
	(void)state;
	threads_run(THREADS, 5000, 64, true);
}

/* Payloads as large as a record can be: both rings fill up. */
static void test_large(void **state)
{
	(void)state;
	threads_run(THREADS, 1000, 16000, false);
}

/* More is posted than the ring holds; nothing is lost and the order of numbers is kept by the count. */
static void test_full_ring(void **state)
{
	enum { COUNT = 200000 };
	struct fake_executor *fake = fake_executor_start(8u << 20, true);
	struct channel *channel = channel_make(fake);
	uint32_t total = 0;
	struct channel_waiter waiter = {.reply = &total, .capacity = sizeof(total)};
	char filler[200] = {0};

	(void)state;
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(post(channel, FAKE_COUNT, filler, (size_t)(i % 200), NULL), CUDA_SUCCESS);
	assert_int_equal(post(channel, FAKE_TOTAL, NULL, 0, &waiter), CUDA_SUCCESS);
	assert_int_equal(channel_await(channel, &waiter), CUDA_SUCCESS);
	assert_int_equal(total, COUNT);
	end(fake, channel);
}

static void test_deferred(void **state)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, false);
	struct channel *channel = channel_make(fake);
	struct channel_waiter waiter = {0};

	(void)state;
	assert_int_equal(channel_take_deferred(channel, 0), CUDA_SUCCESS);
	assert_int_equal(post(channel, FAKE_FAIL, NULL, 0, NULL), CUDA_SUCCESS);
	assert_int_equal(post(channel, FAKE_TOTAL, NULL, 0, &waiter), CUDA_SUCCESS);
	assert_int_equal(channel_await(channel, &waiter), CUDA_SUCCESS);
	assert_int_equal(channel_take_deferred(channel, 0), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(channel_take_deferred(channel, 0), CUDA_SUCCESS);
	end(fake, channel);
}

/* The executor ends under everybody's hands: all of them learn of it, and nobody hangs. */
static void loss(uint16_t how)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, false);
	struct channel *channel = channel_make(fake);
	struct worker workers[THREADS];
	struct channel_waiter waiter = {0};
	pthread_t threads[THREADS];

	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.channel = channel, .number = i, .rounds = UINT32_MAX, .largest = 64};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
	}
	usleep(50000);
	post(channel, how, NULL, 0, NULL);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		/* A worker was waiting, or about to post. */
		assert_true(workers[i].wrong || workers[i].result == CHANNEL_LOST_RESULT);
	}
	assert_int_equal(post(channel, FAKE_TOTAL, NULL, 0, &waiter), CHANNEL_LOST_RESULT);
	end(fake, channel);
}

static void test_death(void **state)
{
	(void)state;
	loss(FAKE_DIE);
}

static void test_garbage(void **state)
{
	(void)state;
	loss(FAKE_GARBAGE);
}

/* An executor that is there but silent is not waited for longer than was said. */
static void test_silence(void **state)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, false);
	struct channel *channel = channel_make(fake);
	struct channel_waiter waiter = {0};
	uint32_t word = 0;

	(void)state;
	assert_int_equal(post(channel, FAKE_ECHO, &word, sizeof(word), &waiter), CUDA_SUCCESS);
	assert_int_equal(channel_await_for(channel, &waiter, 20000), CUDA_SUCCESS);
	assert_false(channel_lost(channel));
	/* Counted, and not answered. */
	assert_int_equal(post(channel, FAKE_COUNT, NULL, 0, &waiter), CUDA_SUCCESS);
	alarm(20);
	assert_int_equal(channel_await_for(channel, &waiter, 100), CHANNEL_LOST_RESULT);
	alarm(0);
	assert_true(channel_lost(channel));
	end(fake, channel);
}

/* A full ring and a full window whose executor dies must not be waited for. */
static void test_death_while_full(void **state)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, false);
	struct channel *channel = channel_make(fake);
	char filler[4096] = {0};
	CUresult result = post(channel, FAKE_DIE, NULL, 0, NULL);
	struct transfer transfer = {
		.device = FAKE_DEVICE_BASE, .host = calloc(1, 16u << 20), .width = 16u << 20, .height = 1};

	(void)state;
	assert_int_equal(transfer_up(&transfer), CHANNEL_LOST_RESULT);
	for (int i = 0; i < 2000 && !result; i++)
		result = post(channel, FAKE_COUNT, filler, sizeof(filler), NULL);
	assert_int_equal(result, CHANNEL_LOST_RESULT);
	assert_int_equal(transfer_down(&transfer), CHANNEL_LOST_RESULT);
	free(transfer.host);
	end(fake, channel);
}

/* A layout that does not fit the memory is refused. */
static void test_bad_layout(void **state)
{
	struct fake_executor *fake = fake_executor_start(8u << 20, false);
	struct vgpu_channel_header *header = fake_executor_transport(fake)->memory;
	struct vgpu_channel_header good = *header;
	static struct channel channel;

	(void)state;
	assert_true(channel_attach(&channel, fake_executor_transport(fake)));
	header->command_ring_bytes = (1u << 20) - 8;
	assert_false(channel_attach(&channel, fake_executor_transport(fake)));
	header->command_ring_bytes = good.command_ring_bytes;
	header->upload_offset = 0xfffff000;
	assert_false(channel_attach(&channel, fake_executor_transport(fake)));
	header->upload_offset = good.upload_offset;
	header->download_bytes = 0;
	assert_false(channel_attach(&channel, fake_executor_transport(fake)));
	header->download_bytes = good.download_bytes;
	header->version += 1 << 16;
	assert_false(channel_attach(&channel, fake_executor_transport(fake)));
	header->version = good.version;
	header->magic = 0;
	assert_false(channel_attach(&channel, fake_executor_transport(fake)));
	fake_executor_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_many_threads_lazy),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_full_ring),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_death_while_full),
		cmocka_unit_test(test_bad_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
