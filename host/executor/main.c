/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "executor.h"
#include "driver.h"
#include "gpu_events.h"
#include "log.h"
#include "loop.h"
#include "probe.h"
#include "sandbox.h"
#include "sensors.h"
#include "start.h"
#include "watch.h"

#define EXIT_START 1
#define EXIT_FAULT 2
#define EXIT_USAGE 64

static const char usage[] =
	"usage: cuda-executor [--no-sandbox]\n"
	"       cuda-executor --probe LIBRARY\n"
	"       cuda-executor --sensors\n"
	"       cuda-executor --gpu-events\n"
	"\n"
	"Makes the CUDA calls of one guest process. The mediator starts it, with its control socket as\n"
	"descriptor 3.\n"
	"\n"
	"  --probe LIBRARY  say what the CUDA driver LIBRARY offers, and end\n"
	"  --sensors        say what NVML knows of the GPUs, and end\n"
	"  --gpu-events     say what errors NVML reports of the GPUs, until nobody listens\n"
	"  --no-sandbox     for debugging: keep all privileges and system calls\n"
	"  --version\n"
	"  --help\n";

struct settings {
	const char *probe; /* NULL: serve */
	bool sensors;
	bool gpu_events;
	bool use_sandbox;
};

static struct executor executor = {.control = VGPU_EXECUTOR_CONTROL_FD, .pass = -1};

/* -1: go on; else the exit status. */
static int arguments_read(int count, char **arguments, struct settings *settings)
{
	static const struct option options[] = {
		{"probe", required_argument, NULL, 'p'},
		{"sensors", no_argument, NULL, 's'},
		{"gpu-events", no_argument, NULL, 'g'},
		{"no-sandbox", no_argument, NULL, 'n'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			settings->probe = optarg;
			break;
		case 's':
			settings->sensors = true;
			break;
		case 'g':
			settings->gpu_events = true;
			break;
		case 'n':
			settings->use_sandbox = false;
			break;
		case 'v':
			puts("cuda-executor " VGPU_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != count) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/*
 * The driver's allocations must lie from 0x2aaa... upwards, where the guest library keeps its own
 * process clear; only a process that was started in this layout has it.
 */
static void layout_ensure(char **arguments)
{
	int persona = personality(0xffffffff);

	if (persona < 0 || (persona & ADDR_COMPAT_LAYOUT) ||
	    personality((unsigned long)persona | ADDR_COMPAT_LAYOUT) < 0)
		return;
	/* It stays set over exec, so this happens once. */
	execv("/proc/self/exe", arguments);
	log_write("cannot start again in the compatible address layout: %s", strerror(errno));
}

static int serve(const struct settings *settings)
{
	int error;

	signal(SIGPIPE, SIG_IGN);
	/*
	 * From the start, not only in the sandbox: other guests' executors run as the same user, and one that
	 * was taken over could open this one's memory while it loads the driver.
	 */
	if (settings->use_sandbox && prctl(PR_SET_DUMPABLE, 0) < 0)
		return EXIT_START;
	if (!start_run(&executor))
		return EXIT_START;
	error = settings->use_sandbox ? sandbox_enter() : 0;
	if (error) {
		start_fail(&executor, VGPU_ERROR_EXECUTOR_DIED, "cannot enter the sandbox: %s", strerror(-error));
		return EXIT_START;
	}
	/* After the sandbox, so that the thread is in it. */
	error = watch_start(executor.control);
	if (error) {
		start_fail(&executor, VGPU_ERROR_NO_MEMORY, "cannot start a thread: %s", strerror(-error));
		return EXIT_START;
	}
	/* Last: a failure of the host's that is told later is not believed. */
	if (!start_ready_send(&executor))
		return 0;
	loop_run(&executor);
	start_fault_send(&executor);
	return EXIT_FAULT;
}

int main(int count, char **arguments)
{
	struct settings settings = {.use_sandbox = true};
	int status = arguments_read(count, arguments, &settings);

	if (status >= 0)
		return status;
	layout_ensure(arguments);
	if (settings.sensors)
		status = sensors_run();
	else if (settings.gpu_events)
		status = gpu_events_run();
	else
		status = settings.probe ? probe_run(settings.probe) : serve(&settings);
	/* The driver's own exit handlers may wait for kernels that never end. */
	fflush(NULL);
	_exit(status);
}
