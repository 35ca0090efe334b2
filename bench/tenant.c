/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenant MODE [OPTION...]: one tenant of a shared GPU, for shares.py, storm.py and tests. It prints one line of
 * JSON.
 *
 *   calibrate --microseconds N      iterations of the kernel that takes so long, with nobody else there
 *   saturate --iterations N         keeps the GPU busy; how many kernels ended between --from and --to
 *   requests --iterations N         one kernel at a time, with --pause microseconds between: latencies
 *   check                           a computation again and again, compared with the host's
 *   illegal, endless, trap, hog     misdeeds: an address of nobody's, a kernel without end, a trap, all memory
 *   memory                          what cuDeviceTotalMem and cuMemGetInfo say, before and with 8 MiB
 *   watch                           the free memory by cuMemGetInfo, for each line of standard input
 *   issue --batch N                 seconds until N launches are issued, until they are done, and for N KiB copied
 *   fill                            writes a secret over --blocks MiB, and says so; waits until --to
 *   residue                         words of that secret in --blocks MiB of fresh memory, or in all there is
 *   handles                         how many streams can be made, up to 1000
 *
 *   --from, --to SECONDS            of CLOCK_MONOTONIC; SIGINT ends check before
 *   --blocks N                      of 256 threads (4 for each multiprocessor)
 *   --batch N                       kernels between two looks
 *   --streams N                     streams to spread them over
 *   --device N                      which (0)
 *   --also N                        with a context on that device too
 *   --each                          requests: also a line with begin and end of each, in nanoseconds
 *   --told                          begins when there is a line of standard input, with FROM and TO or without, or its
 * end
 *   --rounds N                      check: at least so many, however long they take
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "samples.h"
#include "tenant.h"
#include "tenant_ptx.h"

#define EACH_MAX 100000

enum { THREADS = 256, BATCHES = 2, STREAMS_MAX = 8, ATTRIBUTE_MULTIPROCESSORS = 16, CALIBRATION_KERNELS = 20 };

struct tenant {
	struct options options;
	CUmodule module;
	CUfunction work;
	CUdeviceptr results;
	CUstream streams[STREAMS_MAX];
	CUevent events[BATCHES][STREAMS_MAX];
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

double seconds_now(void)
{
	return (double)clock_nanoseconds() / 1e9;
}

static void launch_work(struct tenant *tenant, CUstream stream, unsigned iterations, unsigned seed)
{
	void *parameters[] = {&tenant->results, &iterations, &seed};

	CHECK(driver.launch(tenant->work, tenant->options.blocks, 1, 1, THREADS, 1, 1, 0, stream, parameters, NULL));
}

static void tenant_start(struct tenant *tenant)
{
	int processors = 1;

	CHECK(driver.device_get_attribute(&processors, ATTRIBUTE_MULTIPROCESSORS, 0));
	if (!tenant->options.blocks)
		tenant->options.blocks = (unsigned)processors * 4;
	CHECK(driver.module_load_data(&tenant->module, tenant_ptx));
	CHECK(driver.module_get_function(&tenant->work, tenant->module, "work"));
	CHECK(driver.memory_allocate(&tenant->results, (size_t)tenant->options.blocks * THREADS * 4));
	for (unsigned i = 0; i < tenant->options.streams; i++) {
		CHECK(driver.stream_create(&tenant->streams[i], 1));
		for (unsigned j = 0; j < BATCHES; j++)
			CHECK(driver.event_create(&tenant->events[j][i], 2));
	}
	launch_work(tenant, tenant->streams[0], 1, 0);
	CHECK(driver.synchronize());
}

/* Microseconds of a kernel, when several follow each other: the best of five. */
static double kernel_time(struct tenant *tenant, unsigned iterations)
{
	double best = 1e12;

	for (int turn = 0; turn < 5; turn++) {
		double start = seconds_now(), took;

		for (int i = 0; i < CALIBRATION_KERNELS; i++)
			launch_work(tenant, tenant->streams[0], iterations, 0);
		CHECK(driver.synchronize());
		took = (seconds_now() - start) * 1e6 / CALIBRATION_KERNELS;
		if (took < best)
			best = took;
	}
	return best;
}

static void calibrate(struct tenant *tenant)
{
	unsigned iterations = 100;
	double took;

	for (int round = 0; round < 8; round++) {
		double next;

		took = kernel_time(tenant, iterations);
		if (took > 0.98 * tenant->options.microseconds && took < 1.02 * tenant->options.microseconds)
			break;
		next = iterations * tenant->options.microseconds / took;
		iterations = next < 1 ? 1 : next > 1e9 ? 1000000000 : (unsigned)next;
	}
	took = kernel_time(tenant, iterations);
	printf("{\"iterations\": %u, \"microseconds\": %.2f, \"blocks\": %u}\n", iterations, took,
	       tenant->options.blocks);
}

static void batch_issue(struct tenant *tenant, unsigned place)
{
	const struct options *options = &tenant->options;

	for (unsigned i = 0; i < options->batch; i++)
		launch_work(tenant, tenant->streams[i % options->streams], options->iterations, i);
	for (unsigned i = 0; i < options->streams; i++)
		CHECK(driver.event_record(tenant->events[place][i], tenant->streams[i]));
}

static void saturate(struct tenant *tenant)
{
	const struct options *options = &tenant->options;
	uint64_t kernels = 0;
	double first = 0, last = 0;

	for (unsigned place = 0; place < BATCHES; place++)
		batch_issue(tenant, place);
	for (unsigned place = 0; seconds_now() < options->to; place = (place + 1) % BATCHES) {
		double now;

		for (unsigned i = 0; i < options->streams; i++)
			CHECK(driver.event_synchronize(tenant->events[place][i]));
		now = seconds_now();
		batch_issue(tenant, place);
		if (now < options->from || now > options->to)
			continue;
		/* The first one only starts the clock: it began before. */
		if (first == 0)
			first = now;
		else
			kernels += options->batch;
		last = now;
	}
	CHECK(driver.synchronize());
	printf("{\"kernels\": %llu, \"first\": %.6f, \"last\": %.6f}\n", (unsigned long long)kernels, first, last);
}

void pause_for(double microseconds)
{
	struct timespec pause = {.tv_sec = (time_t)(microseconds / 1e6),
				 .tv_nsec = (long)(microseconds * 1e3) % 1000000000};

	if (microseconds > 0)
		nanosleep(&pause, NULL);
}

static void requests(struct tenant *tenant)
{
	static uint64_t each[EACH_MAX][2];
	const struct options *options = &tenant->options;
	struct samples samples;
	size_t count = 0;

	samples_create(&samples, 1000000);
	while (seconds_now() < options->to) {
		uint64_t start = clock_nanoseconds(), end;

		launch_work(tenant, tenant->streams[0], options->iterations, 0);
		CHECK(driver.stream_synchronize(tenant->streams[0]));
		end = clock_nanoseconds();
		if ((double)start / 1e9 >= options->from) {
			samples_add(&samples, (double)(end - start) / 1e3);
			if (count < EACH_MAX)
				memcpy(each[count++], (uint64_t[2]){start, end}, sizeof(each[0]));
		}
		pause_for(options->pause);
	}
	samples_print(&samples, "request", "us");
	if (!options->tells_each)
		return;
	printf("{\"each\": [");
	for (size_t i = 0; i < count; i++)
		printf("%s[%llu, %llu]", i ? ", " : "", (unsigned long long)each[i][0], (unsigned long long)each[i][1]);
	printf("]}\n");
}

static unsigned expected(unsigned index, unsigned iterations, unsigned seed)
{
	unsigned value = index ^ seed;

	for (unsigned i = 0; i < iterations; i++)
		value = value * 1664525u + 1013904223u;
	return value;
}

static void check(struct tenant *tenant)
{
	const struct options *options = &tenant->options;
	unsigned count = options->blocks * THREADS;
	unsigned *results = malloc(count * sizeof(*results));
	unsigned *wanted = calloc(count, sizeof(*wanted));
	struct samples samples;
	uint64_t rounds = 0, wrong = 0;

	if (!results || !wanted)
		exit(1);
	samples_create(&samples, 1000000);
	/* The seed is in the low bits only, so one table serves all: index ^ seed is another thread's index. */
	for (unsigned i = 0; i < count; i++)
		wanted[i] = expected(i, options->iterations, 0);
	while ((seconds_now() < options->to || rounds < options->rounds_least) && !interrupted) {
		unsigned seed = (unsigned)rounds % THREADS;
		double start = seconds_now();

		launch_work(tenant, tenant->streams[0], options->iterations, seed);
		CHECK(driver.stream_synchronize(tenant->streams[0]));
		CHECK(driver.copy_to_host(results, tenant->results, count * sizeof(*results)));
		samples_add(&samples, (seconds_now() - start) * 1e6);
		for (unsigned i = 0; i < count; i++)
			wrong += results[i] != wanted[i ^ seed];
		rounds++;
		pause_for(options->pause);
	}
	printf("{\"rounds\": %llu, \"wrong\": %llu}\n", (unsigned long long)rounds, (unsigned long long)wrong);
	samples_print(&samples, "check", "us");
	free(results);
	free(wanted);
	if (wrong)
		exit(3);
}

/* The error that the misdeed comes to. */
static void misdeed(struct tenant *tenant, const char *name)
{
	CUdeviceptr address = strcmp(name, "illegal") == 0 ? 0x10 : tenant->results;
	void *parameters[] = {&address};
	CUfunction function;
	CUresult result;

	/* The stream of the misdeed does not wait for the null stream. */
	CHECK(driver.set_bytes(tenant->results, 0, 4));
	CHECK(driver.synchronize());
	CHECK(driver.module_get_function(&function, tenant->module, name));
	result = driver.launch(function, 1, 1, 1, 32, 1, 1, 0, tenant->streams[0], parameters, NULL);
	if (!result)
		result = driver.stream_synchronize(tenant->streams[0]);
	printf("{\"result\": %d, \"name\": \"%s\"}\n", (int)result, driver_error_name(&driver, result));
}

static void issue(struct tenant *tenant)
{
	size_t bytes = (size_t)tenant->options.batch << 10;
	unsigned char *source = malloc(bytes);
	CUdeviceptr destination;
	double start, issued, launched;

	if (!source)
		exit(1);
	memset(source, 1, bytes);
	CHECK(driver.memory_allocate(&destination, bytes));
	/* The first use of a function asks for what it is. */
	launch_work(tenant, tenant->streams[0], 1, 0);
	CHECK(driver.synchronize());
	start = seconds_now();
	for (unsigned i = 0; i < tenant->options.batch; i++)
		launch_work(tenant, tenant->streams[0], 1, 0);
	issued = seconds_now();
	CHECK(driver.synchronize());
	launched = seconds_now();
	CHECK(driver.copy_to_device(destination, source, bytes));
	CHECK(driver.synchronize());
	printf("{\"issued\": %.3f, \"launches\": %.3f, \"copy\": %.3f}\n", issued - start, launched - start,
	       seconds_now() - launched);
	free(source);
}

static void handles(void)
{
	CUresult result = CUDA_SUCCESS;
	CUstream stream;
	unsigned made = 0;

	while (made < 1000 && !result) {
		result = driver.stream_create(&stream, 1);
		/* Its creation is not waited for. */
		if (!result)
			result = driver.synchronize();
		if (!result)
			made++;
	}
	printf("{\"made\": %u, \"name\": \"%s\"}\n", made, driver_error_name(&driver, result));
}

static void options_read(int count, char **arguments, struct options *options)
{
	static const struct option known[] = {
		{"from", required_argument, NULL, 'f'},
		{"to", required_argument, NULL, 't'},
		{"microseconds", required_argument, NULL, 'm'},
		{"pause", required_argument, NULL, 'p'},
		{"iterations", required_argument, NULL, 'i'},
		{"blocks", required_argument, NULL, 'b'},
		{"batch", required_argument, NULL, 'n'},
		{"streams", required_argument, NULL, 's'},
		{"device", required_argument, NULL, 'd'},
		{"also", required_argument, NULL, 'a'},
		{"each", no_argument, NULL, 'e'},
		{"told", no_argument, NULL, 'w'},
		{"rounds", required_argument, NULL, 'r'},
		{0},
	};
	int option;

	while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (option) {
		case 'f':
			options->from = atof(optarg);
			break;
		case 't':
			options->to = atof(optarg);
			break;
		case 'm':
			options->microseconds = atof(optarg);
			break;
		case 'p':
			options->pause = atof(optarg);
			break;
		case 'i':
			options->iterations = (unsigned)atoi(optarg);
			break;
		case 'b':
			options->blocks = (unsigned)atoi(optarg);
			break;
		case 'n':
			options->batch = (unsigned)atoi(optarg);
			break;
		case 's':
			options->streams = (unsigned)atoi(optarg);
			break;
		case 'd':
			options->device = atoi(optarg);
			break;
		case 'a':
			options->also = atoi(optarg);
			break;
		case 'e':
			options->tells_each = true;
			break;
		case 'w':
			options->is_told = true;
			break;
		case 'r':
			options->rounds_least = strtoull(optarg, NULL, 10);
			break;
		default:
			exit(64);
		}
	}
	if (optind != count - 1 || !options->batch || !options->streams || options->streams > STREAMS_MAX)
		exit(64);
}

static void told_await(struct options *options)
{
	char line[80];
	double from, to;

	if (fgets(line, sizeof(line), stdin) && sscanf(line, "%lf %lf", &from, &to) == 2) {
		options->from = from;
		options->to = to;
	}
}

int main(int count, char **arguments)
{
	struct tenant tenant = {
		.options = {.iterations = 1000, .batch = 1, .streams = 1, .microseconds = 100, .also = -1}};
	unsigned residue_mib;
	const char *mode;

	options_read(count, arguments, &tenant.options);
	mode = arguments[optind];
	/* Before --blocks gets its usual value. */
	residue_mib = tenant.options.blocks;
	if (strcmp(mode, "check") == 0)
		signal(SIGINT, interrupt);
	device_start("libcuda.so.1", tenant.options.device);
	if (tenant.options.also >= 0)
		CHECK(driver.primary_retain(&(CUcontext){NULL}, tenant.options.also));
	tenant_start(&tenant);
	/* Who waits for the first line knows that there is a context. */
	fflush(stdout);
	if (tenant.options.is_told)
		told_await(&tenant.options);
	if (strcmp(mode, "calibrate") == 0)
		calibrate(&tenant);
	else if (strcmp(mode, "saturate") == 0)
		saturate(&tenant);
	else if (strcmp(mode, "requests") == 0)
		requests(&tenant);
	else if (strcmp(mode, "check") == 0)
		check(&tenant);
	else if (strcmp(mode, "hog") == 0)
		memory_hog(&tenant.options);
	else if (strcmp(mode, "memory") == 0)
		memory_tell();
	else if (strcmp(mode, "watch") == 0)
		memory_watch();
	else if (strcmp(mode, "issue") == 0)
		issue(&tenant);
	else if (strcmp(mode, "fill") == 0)
		memory_fill(&tenant.options);
	else if (strcmp(mode, "residue") == 0)
		memory_residue(residue_mib);
	else if (strcmp(mode, "handles") == 0)
		handles();
	else
		misdeed(&tenant, mode);
	fflush(stdout);
	/* Whatever state the context is in. */
	_exit(0);
}
