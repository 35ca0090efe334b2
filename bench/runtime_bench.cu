/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_bench MODE [OPTION...]: what calls of the runtime API cost, for peers that stand in for libcudart and not
 * for libcuda. peers.py compiles it; the lines are those of launch_bench.
 *
 *   measure [QUICK]                              launches, copies, an addition
 *   calibrate MICROSECONDS                       iterations of the kernel that takes so long, with nobody else there
 *   saturate ITERATIONS BATCH FROM TO            as tenant does it; seconds of CLOCK_MONOTONIC
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "samples.h"
}

enum { THREADS = 256, IN_FLIGHT = 256, BATCHES = 2, CALIBRATION_KERNELS = 20 };

#define CHECK(call) check(call, #call)

static void check(cudaError_t error, const char *call)
{
	if (error == cudaSuccess)
		return;
	fprintf(stderr, "%s: error %d\n", call, (int)error);
	exit(1);
}

__global__ void empty(void)
{
}

__global__ void add(const float *a, const float *b, float *sum, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;

	if (index < count)
		sum[index] = a[index] + b[index];
}

/* tenant.cu's. */
__global__ void work(unsigned *results, unsigned iterations, unsigned seed)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned value = index ^ seed;

	for (unsigned i = 0; i < iterations; i++)
		value = value * 1664525u + 1013904223u;
	results[index] = value;
}

static double microseconds_since(uint64_t start)
{
	return (double)(clock_nanoseconds() - start) / 1e3;
}

static void measure_launches(struct samples *samples, bool quick)
{
	for (int i = 0; i < (quick ? 1024 : 20480); i++) {
		if (i % IN_FLIGHT == 0)
			CHECK(cudaDeviceSynchronize());
		uint64_t start = clock_nanoseconds();
		empty<<<1, 32>>>();
		samples_add(samples, microseconds_since(start));
	}
	CHECK(cudaDeviceSynchronize());
	samples_print(samples, "runtime_launch_issue", "us");
	for (int turn = 0; turn < 3; turn++) {
		int launches = quick ? 1000 : 20000;
		uint64_t start = clock_nanoseconds();
		for (int i = 0; i < launches; i++)
			empty<<<1, 32>>>();
		CHECK(cudaDeviceSynchronize());
		samples_add(samples, launches / microseconds_since(start) * 1e6);
	}
	samples_print_rate(samples, "runtime_launches_sustained", "1/s");
	for (int i = 0; i < (quick ? 200 : 5000); i++) {
		uint64_t start = clock_nanoseconds();
		empty<<<1, 32>>>();
		CHECK(cudaDeviceSynchronize());
		samples_add(samples, microseconds_since(start));
	}
	samples_print(samples, "runtime_launch_and_synchronize", "us");
}

static void measure_copies(struct samples *samples, bool quick)
{
	static const struct {
		size_t bytes;
		const char *name;
		int turns;
	} sizes[] = {{4096, "4_kib", 200}, {1 << 20, "1_mib", 100}, {64 << 20, "64_mib", 10}};

	for (int i = 0; i < (quick ? 2 : 3); i++) {
		size_t bytes = sizes[i].bytes;
		char *host = (char *)malloc(bytes);
		void *device;

		if (!host)
			exit(1);
		/* Touched, so that no page fault is timed. */
		memset(host, 1, bytes);
		CHECK(cudaMalloc(&device, bytes));
		for (int to_device = 1; to_device >= 0; to_device--) {
			char name[64];
			for (int turn = -1; turn < (quick ? 10 : sizes[i].turns); turn++) {
				uint64_t start = clock_nanoseconds();
				if (to_device)
					CHECK(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
				else
					CHECK(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
				if (turn >= 0)
					samples_add(samples, (double)bytes / microseconds_since(start) / 1e3);
			}
			snprintf(name, sizeof(name), "runtime_copy_pageable_%s_%s", to_device ? "h2d" : "d2h",
				 sizes[i].name);
			samples_print_rate(samples, name, "GB/s");
		}
		CHECK(cudaFree(device));
		free(host);
	}
}

static void measure_addition(struct samples *samples, bool quick)
{
	const unsigned count = 1000000;
	const size_t bytes = count * sizeof(float);
	float *a = (float *)malloc(bytes), *b = (float *)malloc(bytes), *sum = (float *)malloc(bytes);

	if (!a || !b || !sum)
		exit(1);
	for (unsigned i = 0; i < count; i++) {
		a[i] = (float)i;
		b[i] = (float)(count - i) * 0.5f;
	}
	for (int turn = -1; turn < (quick ? 5 : 50); turn++) {
		float *device_a, *device_b, *device_sum;
		uint64_t start = clock_nanoseconds();
		CHECK(cudaMalloc(&device_a, bytes));
		CHECK(cudaMalloc(&device_b, bytes));
		CHECK(cudaMalloc(&device_sum, bytes));
		CHECK(cudaMemcpy(device_a, a, bytes, cudaMemcpyHostToDevice));
		CHECK(cudaMemcpy(device_b, b, bytes, cudaMemcpyHostToDevice));
		add<<<(count + THREADS - 1) / THREADS, THREADS>>>(device_a, device_b, device_sum, count);
		CHECK(cudaMemcpy(sum, device_sum, bytes, cudaMemcpyDeviceToHost));
		CHECK(cudaFree(device_a));
		CHECK(cudaFree(device_b));
		CHECK(cudaFree(device_sum));
		if (turn >= 0)
			samples_add(samples, microseconds_since(start) / 1e3);
	}
	for (unsigned i = 0; i < count; i++) {
		volatile float expected = a[i] + b[i];
		if (sum[i] != expected) {
			fprintf(stderr, "addition: element %u is wrong\n", i);
			exit(1);
		}
	}
	samples_print(samples, "runtime_vector_add_1000000", "ms");
	free(a);
	free(b);
	free(sum);
}

struct tenant {
	unsigned *results;
	unsigned blocks;
	cudaEvent_t events[BATCHES];
};

static void tenant_start(struct tenant *tenant)
{
	int processors;

	CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
	tenant->blocks = (unsigned)processors * 4;
	CHECK(cudaMalloc(&tenant->results, (size_t)tenant->blocks * THREADS * sizeof(unsigned)));
	for (int i = 0; i < BATCHES; i++)
		CHECK(cudaEventCreateWithFlags(&tenant->events[i], cudaEventDisableTiming));
	work<<<tenant->blocks, THREADS>>>(tenant->results, 1, 0);
	CHECK(cudaDeviceSynchronize());
}

/* Microseconds of a kernel, when several follow each other: the best of five. */
static double kernel_time(const struct tenant *tenant, unsigned iterations)
{
	double best = 1e12;

	for (int turn = 0; turn < 5; turn++) {
		uint64_t start = clock_nanoseconds();
		for (int i = 0; i < CALIBRATION_KERNELS; i++)
			work<<<tenant->blocks, THREADS>>>(tenant->results, iterations, 0);
		CHECK(cudaDeviceSynchronize());
		double took = microseconds_since(start) / CALIBRATION_KERNELS;
		best = took < best ? took : best;
	}
	return best;
}

static void calibrate(const struct tenant *tenant, double microseconds)
{
	unsigned iterations = 100;

	for (int round = 0; round < 8; round++) {
		double took = kernel_time(tenant, iterations), next;
		if (took > 0.98 * microseconds && took < 1.02 * microseconds)
			break;
		next = iterations * microseconds / took;
		iterations = next < 1 ? 1 : next > 1e9 ? 1000000000 : (unsigned)next;
	}
	printf("{\"iterations\": %u, \"microseconds\": %.2f}\n", iterations, kernel_time(tenant, iterations));
}

static void saturate(const struct tenant *tenant, unsigned iterations, unsigned batch, double from, double to)
{
	unsigned long long kernels = 0;
	double first = 0, last = 0, now = 0;

	for (int round = 0; now < to; round++) {
		int place = round % BATCHES;
		if (round >= BATCHES)
			CHECK(cudaEventSynchronize(tenant->events[place]));
		now = (double)clock_nanoseconds() / 1e9;
		for (unsigned i = 0; i < batch; i++)
			work<<<tenant->blocks, THREADS>>>(tenant->results, iterations, i);
		CHECK(cudaEventRecord(tenant->events[place], 0));
		if (round < BATCHES || now < from || now > to)
			continue;
		/* The first one only starts the clock: it began before. */
		if (first == 0)
			first = now;
		else
			kernels += batch;
		last = now;
	}
	CHECK(cudaDeviceSynchronize());
	printf("{\"kernels\": %llu, \"first\": %.6f, \"last\": %.6f}\n", kernels, first, last);
}

int main(int count, char **arguments)
{
	const char *mode = count > 1 ? arguments[1] : "";
	struct samples samples;
	struct tenant tenant;

	if (strcmp(mode, "measure") == 0) {
		bool quick = count > 2;
		samples_create(&samples, 100000);
		uint64_t start = clock_nanoseconds();
		empty<<<1, 32>>>();
		CHECK(cudaGetLastError());
		CHECK(cudaDeviceSynchronize());
		samples_add(&samples, microseconds_since(start) / 1e3);
		samples_print(&samples, "runtime_start_to_first_kernel", "ms");
		measure_launches(&samples, quick);
		measure_copies(&samples, quick);
		measure_addition(&samples, quick);
		samples_destroy(&samples);
	} else if (strcmp(mode, "calibrate") == 0 && count == 3) {
		tenant_start(&tenant);
		calibrate(&tenant, atof(arguments[2]));
	} else if (strcmp(mode, "saturate") == 0 && count == 6) {
		tenant_start(&tenant);
		saturate(&tenant, (unsigned)atoi(arguments[2]), (unsigned)atoi(arguments[3]), atof(arguments[4]),
			 atof(arguments[5]));
	} else {
		return 2;
	}
	return 0;
}
