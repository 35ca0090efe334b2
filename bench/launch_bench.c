/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch_bench [--library PATH] [--quick]: what calls of the driver API cost.
 * One JSON object a line; compare.py sets two outputs side by side.  The same
 * binary measures the native driver and the remoted one: PATH (libcuda.so.1
 * unless told) and LD_LIBRARY_PATH decide.  --quick takes fewer samples and no
 * copy above 4 MiB, for a software GPU and for tests.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "kernels_ptx.h"
#include "samples.h"

enum {
	/* The native driver blocks the caller at about a thousand launches in flight: stay below. */
	LAUNCHES_IN_FLIGHT = 256,
	SAMPLES_MAX = 100000,
};

struct bench {
	bool quick;
	CUstream stream;
	CUmodule module;
	CUfunction empty, empty_four, empty_kilobyte, vector_add;
	struct samples samples;
};

static double microseconds_since(uint64_t start)
{
	return (double)(clock_nanoseconds() - start) / 1e3;
}

static void launch(CUfunction function, CUstream stream, void **parameters)
{
	CHECK(driver.launch(function, 1, 1, 1, 32, 1, 1, 0, stream, parameters, NULL));
}

/* Time in the caller's thread of one asynchronous launch, while the queue is neither full nor waited for. */
static void bench_issue(struct bench *bench, const char *name, CUfunction function, void **parameters)
{
	size_t count = bench->quick ? 2048 : 40960;
	for (int i = 0; i < LAUNCHES_IN_FLIGHT; i++)
		launch(function, bench->stream, parameters);
	for (size_t i = 0; i < count; i++) {
		if (i % LAUNCHES_IN_FLIGHT == 0)
			CHECK(driver.stream_synchronize(bench->stream));
		uint64_t start = clock_nanoseconds();
		launch(function, bench->stream, parameters);
		samples_add(&bench->samples, microseconds_since(start));
	}
	CHECK(driver.stream_synchronize(bench->stream));
	samples_print(&bench->samples, name, "us");
}

static void bench_launches(struct bench *bench)
{
	unsigned words[256] = {0}, count = 1;
	CUdeviceptr memory;
	CHECK(driver.memory_allocate(&memory, 4096));
	bench_issue(bench, "launch_issue_0_parameters", bench->empty, NULL);
	bench_issue(bench, "launch_issue_4_parameters", bench->empty_four,
		    (void *[]){&memory, &memory, &memory, &count});
	bench_issue(bench, "launch_issue_1_kib_parameter", bench->empty_kilobyte, (void *[]){words});
	CHECK(driver.memory_free(memory));

	size_t launches = bench->quick ? 5000 : 100000;
	for (int turn = 0; turn < (bench->quick ? 3 : 5); turn++) {
		uint64_t start = clock_nanoseconds();
		for (size_t i = 0; i < launches; i++)
			launch(bench->empty, bench->stream, NULL);
		CHECK(driver.stream_synchronize(bench->stream));
		samples_add(&bench->samples, (double)launches / microseconds_since(start) * 1e6);
	}
	samples_print_rate(&bench->samples, "launches_sustained", "1/s");

	for (int i = 0; i < (bench->quick ? 500 : 10000); i++) {
		uint64_t start = clock_nanoseconds();
		launch(bench->empty, bench->stream, NULL);
		CHECK(driver.stream_synchronize(bench->stream));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "launch_and_synchronize", "us");
	for (int i = 0; i < (bench->quick ? 500 : 10000); i++) {
		uint64_t start = clock_nanoseconds();
		CHECK(driver.stream_synchronize(bench->stream));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "synchronize_idle", "us");
}

static void bench_events(struct bench *bench)
{
	CUevent event;
	int count = bench->quick ? 1000 : 20000;
	CHECK(driver.event_create(&event, 0));
	for (int i = 0; i < count; i++) {
		if (i % LAUNCHES_IN_FLIGHT == 0)
			CHECK(driver.stream_synchronize(bench->stream));
		uint64_t start = clock_nanoseconds();
		CHECK(driver.event_record(event, bench->stream));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "event_record_issue", "us");
	CHECK(driver.event_synchronize(event));
	for (int i = 0; i < count; i++) {
		uint64_t start = clock_nanoseconds();
		CHECK(driver.event_query(event));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "event_query_completed", "us");
	for (int i = 0; i < count / 4; i++) {
		uint64_t start = clock_nanoseconds();
		CHECK(driver.event_record(event, bench->stream));
		CHECK(driver.event_synchronize(event));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "event_record_and_synchronize", "us");
}

static void copy(bool to_device, CUdeviceptr device, void *host, size_t bytes)
{
	if (to_device)
		CHECK(driver.copy_to_device(device, host, bytes));
	else
		CHECK(driver.copy_to_host(host, device, bytes));
}

static void bench_small_copies(struct bench *bench)
{
	char word[8] = {0};
	CUdeviceptr device;
	CHECK(driver.memory_allocate(&device, sizeof(word)));
	for (int to_device = 1; to_device >= 0; to_device--) {
		for (int i = 0; i < (bench->quick ? 500 : 10000); i++) {
			uint64_t start = clock_nanoseconds();
			copy(to_device, device, word, sizeof(word));
			samples_add(&bench->samples, microseconds_since(start));
		}
		samples_print(&bench->samples, to_device ? "copy_8_bytes_h2d" : "copy_8_bytes_d2h", "us");
	}
	CHECK(driver.memory_free(device));
}

static void bench_copy_kind(struct bench *bench, const char *kind, void *host, CUdeviceptr device, size_t most)
{
	static const struct {
		size_t bytes;
		const char *name;
	} sizes[] = {
		{4096, "4_kib"},    {65536, "64_kib"},	  {1 << 20, "1_mib"},
		{4 << 20, "4_mib"}, {64 << 20, "64_mib"}, {256 << 20, "256_mib"},
	};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i].bytes <= most; i++) {
		size_t bytes = sizes[i].bytes;
		int turns = bytes >= 64 << 20 ? 15 : (bench->quick ? 20 : 200);
		for (int to_device = 1; to_device >= 0; to_device--) {
			char name[64];
			copy(to_device, device, host, bytes);
			for (int turn = 0; turn < turns; turn++) {
				uint64_t start = clock_nanoseconds();
				copy(to_device, device, host, bytes);
				samples_add(&bench->samples, (double)bytes / microseconds_since(start) / 1e3);
			}
			snprintf(name, sizeof(name), "copy_%s_%s_%s", kind, to_device ? "h2d" : "d2h", sizes[i].name);
			samples_print_rate(&bench->samples, name, "GB/s");
		}
	}
}

static void bench_copies(struct bench *bench)
{
	size_t most = bench->quick ? 4 << 20 : 256 << 20;
	void *pinned, *pageable = malloc(most);
	CUdeviceptr device;
	if (pageable == NULL) {
		fprintf(stderr, "no memory for copies of %zu bytes\n", most);
		exit(1);
	}
	CHECK(driver.memory_allocate(&device, most));
	CHECK(driver.host_allocate(&pinned, most, 0));
	/* Touched, so that no page fault is timed. */
	memset(pinned, 1, most);
	memset(pageable, 2, most);
	bench_copy_kind(bench, "pinned", pinned, device, most);
	bench_copy_kind(bench, "pageable", pageable, device, most);
	CHECK(driver.host_free(pinned));
	CHECK(driver.memory_free(device));
	free(pageable);
}

static void bench_allocation(struct bench *bench)
{
	for (int i = 0; i < (bench->quick ? 200 : 2000); i++) {
		CUdeviceptr device;
		uint64_t start = clock_nanoseconds();
		CHECK(driver.memory_allocate(&device, 4 << 20));
		CHECK(driver.memory_free(device));
		samples_add(&bench->samples, microseconds_since(start));
	}
	samples_print(&bench->samples, "allocate_and_free_4_mib", "us");
}

/* As the example does it: allocate, copy in, add, copy out, free; every sum is checked after the last turn. */
static void bench_vector_add(struct bench *bench)
{
	unsigned count = 1000000;
	size_t bytes = count * sizeof(float);
	float *a = malloc(bytes), *b = malloc(bytes), *sum = malloc(bytes);
	if (a == NULL || b == NULL || sum == NULL) {
		fprintf(stderr, "no memory for vectors of %u\n", count);
		exit(1);
	}
	for (unsigned i = 0; i < count; i++) {
		a[i] = (float)i;
		b[i] = (float)(count - i) * 0.5f;
		sum[i] = 0;
	}
	for (int turn = 0; turn < (bench->quick ? 10 : 50); turn++) {
		CUdeviceptr d_a, d_b, d_sum;
		uint64_t start = clock_nanoseconds();
		CHECK(driver.memory_allocate(&d_a, bytes));
		CHECK(driver.memory_allocate(&d_b, bytes));
		CHECK(driver.memory_allocate(&d_sum, bytes));
		CHECK(driver.copy_to_device(d_a, a, bytes));
		CHECK(driver.copy_to_device(d_b, b, bytes));
		CHECK(driver.launch(bench->vector_add, (count + 255) / 256, 1, 1, 256, 1, 1, 0, NULL,
				    (void *[]){&d_a, &d_b, &d_sum, &count}, NULL));
		CHECK(driver.copy_to_host(sum, d_sum, bytes));
		CHECK(driver.memory_free(d_a));
		CHECK(driver.memory_free(d_b));
		CHECK(driver.memory_free(d_sum));
		if (turn > 0)
			samples_add(&bench->samples, microseconds_since(start) / 1e3);
	}
	for (unsigned i = 0; i < count; i++) {
		volatile float expected = a[i] + b[i];
		if (sum[i] != expected) {
			fprintf(stderr, "vector_add: element %u is %g, expected %g\n", i, (double)sum[i],
				(double)expected);
			exit(1);
		}
	}
	samples_print(&bench->samples, "vector_add_1000000_end_to_end", "ms");
	free(a);
	free(b);
	free(sum);
}

int main(int argument_count, char **arguments)
{
	const char *library = "libcuda.so.1";
	struct bench bench = {0};
	for (int i = 1; i < argument_count; i++) {
		if (strcmp(arguments[i], "--library") == 0 && i + 1 < argument_count)
			library = arguments[++i];
		else if (strcmp(arguments[i], "--quick") == 0)
			bench.quick = true;
		else {
			fprintf(stderr, "usage: %s [--library PATH] [--quick]\n", arguments[0]);
			return 2;
		}
	}
	samples_create(&bench.samples, SAMPLES_MAX);
	uint64_t start = clock_nanoseconds();
	device_start(library, 0);
	CHECK(driver.module_load_data(&bench.module, kernels_ptx));
	CHECK(driver.module_get_function(&bench.empty, bench.module, "empty"));
	CHECK(driver.module_get_function(&bench.empty_four, bench.module, "empty_four"));
	CHECK(driver.module_get_function(&bench.empty_kilobyte, bench.module, "empty_kilobyte"));
	CHECK(driver.module_get_function(&bench.vector_add, bench.module, "vector_add"));
	CHECK(driver.stream_create(&bench.stream, 1));
	launch(bench.empty, bench.stream, NULL);
	CHECK(driver.stream_synchronize(bench.stream));
	samples_add(&bench.samples, microseconds_since(start) / 1e3);
	samples_print(&bench.samples, "start_to_first_kernel", "ms");
	bench_launches(&bench);
	bench_events(&bench);
	bench_small_copies(&bench);
	bench_allocation(&bench);
	bench_copies(&bench);
	bench_vector_add(&bench);
	device_stop();
	samples_destroy(&bench.samples);
	return 0;
}
