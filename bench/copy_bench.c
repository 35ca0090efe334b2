/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a processor can do for copies of pageable memory, without a GPU: how fast pieces leave the download window and
 * fill the upload window, by one thread and by two, and what the first touch of the upload window costs. For choosing
 * how the guest copies.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bulk_copy.h"
#include "copy_helper.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ALL_BYTES	   ((size_t)256 << 20)
#define WINDOW_BYTES	   ((size_t)8 << 20)
#define PIECE_BYTES	   ((size_t)1 << 20)
#define TOUCH_BYTES	   ((size_t)64 << 10)
#define TURNS		   15
#define UPLOAD_PIECE_BYTES ((size_t)128 << 10)
#define UPLOAD_TURNS	   31
#define PAGE_BYTES	   4096u
#define PAGES		   4u /* that are copied side by side */

typedef void copy_function(void *to, const void *from, size_t bytes);

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void plain_copy(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

#if defined(__x86_64__)

/* Whole groups of pages; so the memory has several rows open, as glibc does for copies beyond the cache. */
static void pages_copy(void *to, const void *from, size_t bytes)
{
	for (size_t group = 0; group < bytes; group += PAGES * PAGE_BYTES)
		for (size_t line = 0; line < PAGE_BYTES; line += 64)
			for (size_t page = 0; page < PAGES; page++) {
				size_t at = group + page * PAGE_BYTES + line;
				const __m128i *in = (const void *)((const char *)from + at);
				__m128i *out = (void *)((char *)to + at);
				__m128i a = _mm_loadu_si128(in);
				__m128i b = _mm_loadu_si128(in + 1);
				__m128i c = _mm_loadu_si128(in + 2);
				__m128i d = _mm_loadu_si128(in + 3);

				_mm_prefetch((const char *)in + 4 * 64, _MM_HINT_T0);
				_mm_stream_si128(out, a);
				_mm_stream_si128(out + 1, b);
				_mm_stream_si128(out + 2, c);
				_mm_stream_si128(out + 3, d);
			}
	_mm_sfence();
}

__attribute__((target("avx512f"))) static void wide_copy(void *to, const void *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 128) {
		__m512i a = _mm512_loadu_si512((const char *)from + at);
		__m512i b = _mm512_loadu_si512((const char *)from + at + 64);

		_mm512_stream_si512((void *)((char *)to + at), a);
		_mm512_stream_si512((void *)((char *)to + at + 64), b);
	}
	_mm_sfence();
}

#endif

/* Every so many-th piece, from the window to its place. */
struct share {
	pthread_t thread;
	copy_function *copy;
	char *to;
	const char *window;
	size_t first;
	size_t step;
};

static void *share_copy(void *argument)
{
	const struct share *share = argument;

	for (size_t at = share->first; at < ALL_BYTES; at += share->step)
		share->copy(share->to + at, share->window + at % WINDOW_BYTES, PIECE_BYTES);
	return NULL;
}

static double copy_time(copy_function *copy, char *to, const char *window, size_t threads)
{
	struct share shares[2];
	double start = seconds();

	for (size_t i = 0; i < threads; i++) {
		shares[i] = (struct share){.copy = copy,
					   .to = to,
					   .window = window,
					   .first = i * PIECE_BYTES,
					   .step = threads * PIECE_BYTES};
		if (i && pthread_create(&shares[i].thread, NULL, share_copy, &shares[i]))
			exit(1);
	}
	share_copy(&shares[0]);
	for (size_t i = 1; i < threads; i++)
		pthread_join(shares[i].thread, NULL);
	return seconds() - start;
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

static double median(double *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare);
	return samples[count / 2];
}

static void bench_copies(void)
{
	const struct {
		const char *name;
		copy_function *copy;
	} kinds[] = {
		{"bulk_copy", bulk_copy},
		{"memcpy", plain_copy},
#if defined(__x86_64__)
		{"pages side by side", pages_copy},
		{"512 bits", __builtin_cpu_supports("avx512f") ? wide_copy : NULL},
#endif
	};
	char *to = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED || window == MAP_FAILED)
		exit(1);
	memset(to, 1, ALL_BYTES);
	memset(window, 2, WINDOW_BYTES);
	for (size_t threads = 1; threads <= 2; threads++)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			double samples[TURNS];

			for (size_t turn = 0; turn < TURNS && kinds[i].copy; turn++)
				samples[turn] = copy_time(kinds[i].copy, to, window, threads);
			if (kinds[i].copy)
				printf("256 MiB by %zu thread(s), %s: %.2f GB/s\n", threads, kinds[i].name,
				       (double)ALL_BYTES / median(samples, TURNS) / 1e9);
		}
	munmap(to, ALL_BYTES);
	munmap(window, WINDOW_BYTES);
}

/* A copy to the device but for the device: pieces that one or two threads put into a window. */
struct upload {
	copy_function *copy;
	const char *from;
	char *window;
	size_t window_bytes;
	size_t bytes;
	size_t taken;
};

static void *upload_run(void *argument)
{
	struct upload *upload = argument;
	size_t at;

	while ((at = __atomic_fetch_add(&upload->taken, UPLOAD_PIECE_BYTES, __ATOMIC_RELAXED)) < upload->bytes)
		upload->copy(upload->window + at % upload->window_bytes, upload->from + at, UPLOAD_PIECE_BYTES);
	return NULL;
}

static double upload_time(struct upload upload, bool is_helped)
{
	struct copy_helper helper;
	double start = seconds();

	is_helped = is_helped && copy_helper_start(&helper, upload_run, &upload);
	upload_run(&upload);
	if (is_helped)
		copy_helper_join(&helper);
	return seconds() - start;
}

static void bench_uploads(void)
{
	static const size_t sizes[] = {1, 2, 4, 8, 16, 32, 64, 256};
	static const struct {
		const char *name;
		copy_function *copy;
		size_t window_bytes;
		bool is_helped;
	} kinds[] = {
		{"memcpy, window of 512 KiB", plain_copy, (size_t)512 << 10, false},
		{"memcpy, window of 1 MiB", plain_copy, (size_t)1 << 20, false},
		{"memcpy, window of 1 MiB, helper", plain_copy, (size_t)1 << 20, true},
		{"bulk_copy_near, window of 512 KiB", bulk_copy_near, (size_t)512 << 10, false},
		{"bulk_copy_near, window of 1 MiB", bulk_copy_near, (size_t)1 << 20, false},
		{"bulk_copy_near, window of 512 KiB, helper", bulk_copy_near, (size_t)512 << 10, true},
		{"bulk_copy_near, window of 1 MiB, helper", bulk_copy_near, (size_t)1 << 20, true},
	};
	char *from = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (from == MAP_FAILED || window == MAP_FAILED)
		exit(1);
	memset(from, 1, ALL_BYTES);
	memset(window, 2, WINDOW_BYTES);
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		printf("to the window, %s, GB/s:", kinds[kind].name);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct upload upload = {.copy = kinds[kind].copy,
						.from = from,
						.window = window,
						.window_bytes = kinds[kind].window_bytes,
						.bytes = sizes[i] << 20};
			double samples[UPLOAD_TURNS];

			for (size_t turn = 0; turn < UPLOAD_TURNS; turn++)
				samples[turn] = upload_time(upload, kinds[kind].is_helped);
			printf(" %zu MiB %.2f%s", sizes[i], (double)upload.bytes / median(samples, UPLOAD_TURNS) / 1e9,
			       i + 1 < sizeof(sizes) / sizeof(sizes[0]) ? "," : "\n");
		}
	}
	munmap(from, ALL_BYTES);
	munmap(window, WINDOW_BYTES);
}

/* The pages are there, as the executor has pinned them, but not yet mapped by the program. */
static void bench_first_touch(size_t populated_at_a_time)
{
	char *pinned = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *from = malloc(TOUCH_BYTES);
	double samples[WINDOW_BYTES / TOUCH_BYTES];
	size_t populated = 0;
	char *window;

	if (pinned == MAP_FAILED || !from)
		exit(1);
	memset(pinned, 1, WINDOW_BYTES);
	memset(from, 1, TOUCH_BYTES);
	window = mremap(pinned, 0, WINDOW_BYTES, MREMAP_MAYMOVE);
	if (window == MAP_FAILED)
		exit(1);
	for (size_t at = 0; at < WINDOW_BYTES; at += TOUCH_BYTES) {
		double start = seconds();

		if (populated_at_a_time && at + TOUCH_BYTES > populated) {
			(void)madvise(window + populated, populated_at_a_time, MADV_POPULATE_WRITE);
			populated += populated_at_a_time;
		}
		memcpy(window + at, from, TOUCH_BYTES);
		samples[at / TOUCH_BYTES] = (seconds() - start) * 1e6;
	}
	printf("64 KiB into a window that is touched first, mapped %zu KiB at a time: %.1f us\n",
	       populated_at_a_time ? populated_at_a_time >> 10 : PAGE_BYTES >> 10,
	       median(samples, sizeof(samples) / sizeof(samples[0])));
	munmap(pinned, WINDOW_BYTES);
	munmap(window, WINDOW_BYTES);
	free(from);
}

int main(void)
{
	bench_copies();
	bench_uploads();
	bench_first_touch(0);
	bench_first_touch((size_t)512 << 10);
	bench_first_touch(WINDOW_BYTES);
	return 0;
}
