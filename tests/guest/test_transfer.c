/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk data between the program's memory and the windows: of many threads, and by two for one copy. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "channel_calls.h"
#include "transfer.h"

struct session session; /* of transfer.c */

#define THREADS 8

struct copier {
	uint32_t number;
	CUresult result;
	bool wrong;
};

#define COPY_BYTES (5u << 20)

static void *copier_run(void *argument)
{
	struct copier *copier = argument;
	uint8_t *sent = malloc(COPY_BYTES), *got = malloc(COPY_BYTES);
	uint32_t random = copier->number * 7919 + 1;

	for (int round = 0; round < 12 && !copier->result && !copier->wrong; round++) {
		size_t bytes = round % 3 == 0 ? 1 + random % 20000 : 1 + random % COPY_BYTES;
		struct transfer transfer = {
			.device = FAKE_DEVICE_BASE + copier->number * (size_t)COPY_BYTES,
			.device_pitch = bytes,
			.host = sent,
			.host_pitch = bytes,
			.width = bytes,
			.height = 1,
		};

		for (size_t i = 0; i < bytes; i++)
			sent[i] = (uint8_t)(i * 31 + random);
		copier->result = transfer_up(&transfer);
		transfer.host = got;
		if (!copier->result)
			copier->result = transfer_down(&transfer);
		copier->wrong = memcmp(sent, got, bytes) != 0;
		random = random * 1664525 + 1013904223;
	}
	free(sent);
	free(got);
	return NULL;
}

/* Windows smaller than what passes through them, shared by all threads. */
static void test_windows(void **state)
{
	struct fake_executor *fake = fake_executor_start(4u << 20, true);
	struct channel *channel = channel_make(fake);
	struct copier copiers[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		copiers[i] = (struct copier){.number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, copier_run, &copiers[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(copiers[i].result, CUDA_SUCCESS);
		assert_false(copiers[i].wrong);
	}
	end(fake, channel);
}

#define BULK_BYTES ((8u << 20) + 4097)

static bool has_processors(void)
{
	cpu_set_t allowed;

	return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

struct bulk {
	struct fake_executor *fake;
	uint32_t number;
	uint32_t rounds;
	bool cancels;
	bool is_done;
	CUresult result;
	bool wrong;
};

/* Large enough for two threads, from a place that is aligned to nothing; its last bytes are less than a piece. */
static void *bulk_run(void *argument)
{
	struct bulk *bulk = argument;
	uint8_t *sent = malloc(BULK_BYTES + 3);
	size_t offset = bulk->number * (size_t)(16u << 20);
	struct transfer transfer = {
		.device = FAKE_DEVICE_BASE + offset, .host = sent + 3, .width = BULK_BYTES, .height = 1};
	struct channel_waiter waiter = {0};

	for (uint32_t round = 0; round < bulk->rounds && !bulk->result && !bulk->wrong; round++) {
		for (size_t i = 0; i < BULK_BYTES; i++)
			sent[i + 3] = (uint8_t)((i >> 12) * 7 + i + round + bulk->number);
		if (bulk->cancels)
			pthread_cancel(pthread_self());
		bulk->result = transfer_up(&transfer);
		bulk->is_done = true;
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		/* What was posted before has been done. */
		if (!bulk->result)
			bulk->result = post(session.channel, FAKE_TOTAL, NULL, 0, &waiter);
		if (!bulk->result)
			bulk->result = channel_await(session.channel, &waiter);
		bulk->wrong = memcmp(fake_executor_device(bulk->fake) + offset, sent + 3, BULK_BYTES) != 0;
	}
	free(sent);
	return NULL;
}

static void bulk_threads_run(size_t bytes, size_t count)
{
	struct fake_executor *fake = fake_executor_start(bytes, false);
	struct channel *channel = channel_make(fake);
	struct bulk bulks[2];
	pthread_t threads[2];

	for (uint32_t i = 0; i < count; i++) {
		bulks[i] = (struct bulk){.fake = fake, .number = i, .rounds = 6};
		assert_int_equal(pthread_create(&threads[i], NULL, bulk_run, &bulks[i]), 0);
	}
	for (uint32_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(bulks[i].result, CUDA_SUCCESS);
		assert_false(bulks[i].wrong);
	}
	end(fake, channel);
}

/* Pieces of the window that threads fill side by side arrive in order, whoever is slower. */
static void test_bulk(void **state)
{
	(void)state;
	bulk_threads_run(4u << 20, 1);
	bulk_threads_run(4u << 20, 2);
}

/* On one processor nobody helps. */
static void test_bulk_alone(void **state)
{
	cpu_set_t before, one;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	bulk_threads_run(4u << 20, 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static uint32_t signals;
static uint32_t signals_astray;
static __thread bool is_programs;

static void signal_count(int number)
{
	(void)number;
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
	if (!is_programs)
		__atomic_fetch_add(&signals_astray, 1, __ATOMIC_RELAXED);
}

static void *signalled_run(void *argument)
{
	struct itimerval timer = {.it_interval = {.tv_usec = 500}, .it_value = {.tv_usec = 500}};
	struct bulk *bulk = argument;
	sigset_t alarm_only;

	is_programs = true;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (!bulk->result && !bulk->wrong && __atomic_load_n(&signals, __ATOMIC_RELAXED) < 300)
		bulk_run(bulk);
	return NULL;
}

/* Signals to the process are handled by the program's threads, never by one that it does not know of. */
static void test_bulk_signals(void **state)
{
	struct fake_executor *fake;
	struct channel *channel;
	struct bulk bulk = {.rounds = 1};
	struct itimerval timer = {0};
	sigset_t alarm_only, before;
	pthread_t thread;

	(void)state;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	/* Not for this thread nor the executor's. */
	pthread_sigmask(SIG_BLOCK, &alarm_only, &before);
	bulk.fake = fake = fake_executor_start(4u << 20, false);
	channel = channel_make(fake);
	signal(SIGALRM, signal_count);
	assert_int_equal(pthread_create(&thread, NULL, signalled_run, &bulk), 0);
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	signal(SIGALRM, SIG_IGN);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(bulk.result, CUDA_SUCCESS);
	assert_false(bulk.wrong);
	assert_int_equal(signals_astray, 0);
	end(fake, channel);
}

/* A thread that is cancelled ends after its copy, whose other half is a thread that reads the first one's stack. */
static void test_bulk_cancelled(void **state)
{
	struct fake_executor *fake;
	struct channel *channel;
	struct bulk bulk = {.rounds = 1, .cancels = true};
	pthread_t thread;

	(void)state;
	if (!has_processors())
		skip();
	bulk.fake = fake = fake_executor_start(4u << 20, false);
	channel = channel_make(fake);
	assert_int_equal(pthread_create(&thread, NULL, bulk_run, &bulk), 0);
	pthread_join(thread, NULL);
	assert_true(bulk.is_done);
	assert_int_equal(bulk.result, CUDA_SUCCESS);
	assert_false(bulk.wrong);
	end(fake, channel);
}

struct echoer {
	bool ends;
	CUresult result;
};

static void *echo_run(void *argument)
{
	struct echoer *echoer = argument;
	uint32_t words[2] = {0};

	while (!echoer->result && !__atomic_load_n(&echoer->ends, __ATOMIC_RELAXED)) {
		struct channel_waiter waiter = {.reply = words, .capacity = sizeof(words)};

		echoer->result = post(session.channel, FAKE_ECHO, words, sizeof(words), &waiter);
		if (!echoer->result)
			echoer->result = channel_await(session.channel, &waiter);
	}
	return NULL;
}

/* While this thread has stdout other threads take what kernels print: it is there when the call ends, in order. */
static void test_printing(void **state)
{
	enum { LINES = 2000, DOWN_BYTES = 33 << 20 };
	struct fake_executor *fake = fake_executor_start(4u << 20, false);
	struct channel *channel = channel_make(fake);
	struct echoer other = {0};
	FILE *printed = tmpfile();
	int real = dup(STDOUT_FILENO);
	uint8_t *back = malloc(DOWN_BYTES);
	struct transfer transfer = {.device = FAKE_DEVICE_BASE, .host = back, .width = DOWN_BYTES, .height = 1};
	pthread_t thread;
	char line[32];
	int lines = 0;
	bool is_in_order = true;
	CUresult result = CUDA_SUCCESS;

	(void)state;
	assert_true(printed && real >= 0 && back);
	fflush(stdout);
	assert_true(dup2(fileno(printed), STDOUT_FILENO) >= 0);
	alarm(120);
	(void)pthread_create(&thread, NULL, echo_run, &other);
	flockfile(stdout);
	for (int i = 0; i < LINES && !result; i++) {
		uint32_t total;
		struct channel_waiter waiter = {.reply = &total, .capacity = sizeof(total)};

		snprintf(line, sizeof(line), "kernel %d\n", i);
		result = post(channel, FAKE_PRINT, line, strlen(line), NULL);
		if (!result && i % 500 == 0)
			result = transfer_down(&transfer);
		else if (!result && !(result = post(channel, FAKE_TOTAL, NULL, 0, &waiter)))
			result = channel_await(channel, &waiter);
		printf("program %d\n", i);
	}
	funlockfile(stdout);
	__atomic_store_n(&other.ends, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	alarm(0);
	fflush(stdout);
	(void)dup2(real, STDOUT_FILENO);
	close(real);
	rewind(printed);
	for (char got[32]; is_in_order && fgets(got, sizeof(got), printed); lines++) {
		snprintf(line, sizeof(line), "%s %d\n", lines % 2 ? "program" : "kernel", lines / 2);
		is_in_order = strcmp(line, got) == 0;
	}
	fclose(printed);
	free(back);
	assert_int_equal(result, CUDA_SUCCESS);
	assert_int_equal(other.result, CUDA_SUCCESS);
	assert_true(is_in_order);
	assert_int_equal(lines, 2 * LINES);
	end(fake, channel);
}

/* Rows with gaps between them, on both sides. */
static void test_rows(void **state)
{
	enum { WIDTH = 20000, HEIGHT = 9, PITCH = 20480 };
	struct fake_executor *fake = fake_executor_start(4u << 20, false);
	struct channel *channel = channel_make(fake);
	uint8_t *sent = malloc(HEIGHT * WIDTH), *got = calloc(HEIGHT, WIDTH + 5);
	struct transfer transfer = {
		.device = FAKE_DEVICE_BASE + 3,
		.device_pitch = PITCH,
		.host = sent,
		.host_pitch = WIDTH,
		.width = WIDTH,
		.height = HEIGHT,
	};

	(void)state;
	for (size_t i = 0; i < HEIGHT * WIDTH; i++)
		sent[i] = (uint8_t)(i * 13 >> 3);
	assert_int_equal(transfer_up(&transfer), CUDA_SUCCESS);
	transfer.host = got;
	transfer.host_pitch = WIDTH + 5;
	assert_int_equal(transfer_down(&transfer), CUDA_SUCCESS);
	for (size_t row = 0; row < HEIGHT; row++) {
		assert_memory_equal(got + row * (WIDTH + 5), sent + row * WIDTH, WIDTH);
		assert_memory_equal(fake_executor_device(fake) + 3 + row * PITCH, sent + row * WIDTH, WIDTH);
		assert_int_equal(got[row * (WIDTH + 5) + WIDTH], 0);
	}
	free(sent);
	free(got);
	end(fake, channel);
}

struct slot_wait {
	int64_t slot;
	bool is_over;
};

static void *slot_await(void *argument)
{
	struct slot_wait *wait = argument;

	wait->slot = download_take(&session.download, true);
	__atomic_store_n(&wait->is_over, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* The window is full of one thread's pieces, and it would go on with each that it has got. */
static void test_slots_are_shared(void **state)
{
	struct fake_executor *fake = fake_executor_start(4u << 20, false);
	struct channel *channel = channel_make(fake);
	struct download_window *window = &session.download;
	pthread_t other;

	(void)state;
	for (uint32_t i = 0; i < window->slot_count; i++)
		assert_true(download_take(window, false) >= 0);
	assert_int_equal(download_take(window, false), -1);
	/* Many times, for he who waits may be quick. */
	for (int round = 0; round < 200; round++) {
		struct slot_wait wait = {0};
		int64_t taken;

		assert_int_equal(pthread_create(&other, NULL, slot_await, &wait), 0);
		while (!__atomic_load_n(&window->waiting, __ATOMIC_SEQ_CST) &&
		       !__atomic_load_n(&wait.is_over, __ATOMIC_SEQ_CST))
			sched_yield();
		download_give(window, window->slot_bytes);
		taken = download_take(window, false);
		assert_int_equal(pthread_join(other, NULL), 0);
		/* Unless this thread was kept from the processor, so that the other took the window for stuck. */
		if (wait.slot >= 0)
			assert_int_equal(taken, -1);
		else if (taken < 0)
			assert_int_equal(download_take(window, false), window->slot_bytes);
	}
	download_give(window, 0);
	assert_int_equal(download_take(window, false), 0);
	end(fake, channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),	     cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bulk),	     cmocka_unit_test(test_bulk_alone),
		cmocka_unit_test(test_bulk_signals), cmocka_unit_test(test_bulk_cancelled),
		cmocka_unit_test(test_printing),     cmocka_unit_test(test_slots_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
