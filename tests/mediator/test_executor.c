/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor for the tests of the mediator: speaks the executor's side of
 * vgpu_control.h and behaves as told by
 * VGPU_EXECUTOR_TEST in its environment:
 *
 *   ready         answers READY, counts doorbells as calls, ends with its socket (the default); as copies of 20 us
 *   boast         the same, but claims the greatest latencies that there are
 *   settings      the same, and says what its permit page has, at each doorbell
 *   crash         dies by SIGSEGV before it is ready
 *   fail          answers FAILED with a text
 *   fail-N        answers FAILED with that error
 *   silent        never answers
 *   hang-up       the same, and closes its socket
 *   chatter       writes very many lines, then is ready
 *   stubborn      ready, and ignores the end of its socket
 *   greets        ready, and says that the channels 0 and 2 are of process 77, where 0 is NVML's, others of process 78
 *   leaver        the same, out of its process group, where another process is left
 *   fault         ready, then says that the guest broke the protocol, at the first doorbell
 *   host-fault    ready, then says that the host failed it, and goes on
 *   fault-N       ready, then says that error, at the first doorbell
 *   block-wake    ready, having made its descriptors ones that wait, and filled what it is woken by
 *   block-bell    the same, and takes away what it has rung before anybody can have read it, again and again
 *   block-log     ready, having begun to write what it never ends, with more there than the mediator reads at once
 *   ring          ready, and rings its bell all the time
 *   ask           ready, and asks about its tenant all the time; each answer counts as a call
 *   stowaway      ready, then asks with a descriptor that nobody wants, at the first doorbell
 *   die           ready, then dies by SIGABRT at the first doorbell
 *   no-cuda       ready, then says that cuInit has failed
 *   no-cuda-again the same, very often
 *   cuda          ready, then says that cuInit has worked
 *   file:PATH     what stands in that file now
 *
 * With --probe it answers as VGPU_EXECUTOR_TEST_PROBE says: "good" (the default), "slow",
 * "none", "two", "many", "reaching" or "bad"; the library "missing.so" is always bad, "appears:FILE" until FILE exists,
 * and with "no-nvidia" "libcuda.so.1".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control_socket.h"
#include "vgpu_schedule.h"

static int probe_answer(const char *library)
{
	const char *behaviour = getenv("VGPU_EXECUTOR_TEST_PROBE");

	if (!behaviour)
		behaviour = "good";
	if (strcmp(behaviour, "slow") == 0)
		sleep(600);
	if (strcmp(behaviour, "bad") == 0 || strstr(library, "missing.so") ||
	    (strcmp(behaviour, "no-nvidia") == 0 && strcmp(library, "libcuda.so.1") == 0)) {
		fprintf(stderr, "%s: cannot open shared object file\n", library);
		return 1;
	}
	if (strncmp(library, "appears:", 8) == 0 && access(library + 8, F_OK) < 0) {
		fprintf(stderr, "%s: not there yet\n", library + 8);
		return 1;
	}
	printf("driver_version=13000\nsoftware=1\n");
	if (strcmp(behaviour, "reaching") == 0)
		printf("device=0 name=\"test device\" uuid=GPU-1 memory=1073741824 pci=0000:01:00.0 reaches_host=1\n");
	else if (strcmp(behaviour, "none") != 0)
		printf("device=0 name=\"test device\" uuid=00000000-0000-0000-0000-000000000001 memory=1073741824\n");
	for (int i = 1; i < 40 && strcmp(behaviour, "many") == 0; i++)
		printf("device=%d name=\"test device\" uuid=GPU-%d memory=1073741824 pci=0000:%02x:00.0\n", i, i, i);
	if (strcmp(behaviour, "two") == 0)
		printf("device=1 name=\"other device\" uuid=GPU-2 memory=1073741824 pci=0000:02:00.0\n");
	return 0;
}

/* What VGPU_EXECUTOR_TEST says, or the file that it names. */
static const char *behaviour_read(void)
{
	static char text[32];
	const char *behaviour = getenv("VGPU_EXECUTOR_TEST");
	FILE *file;

	if (!behaviour)
		return "ready";
	if (strncmp(behaviour, "file:", 5) != 0)
		return behaviour;
	file = fopen(behaviour + 5, "re");
	if (!file || !fgets(text, sizeof(text), file))
		exit(7);
	fclose(file);
	return text;
}

static void driver_result_tell(bool has_worked)
{
	struct control_message message = {.driver_result = {.result = has_worked ? 0 : 999}};

	snprintf(message.driver_result.name, sizeof(message.driver_result.name), "%s",
		 has_worked ? "CUDA_SUCCESS" : "CUDA_ERROR_UNKNOWN");
	if (control_send(VGPU_EXECUTOR_CONTROL_FD, VGPU_CONTROL_DRIVER_RESULT, &message) < 0)
		exit(8);
}

static void answer(enum vgpu_control_type type, enum vgpu_channel_error error, const char *text)
{
	struct control_message message = {.channel = {.error = error}};

	snprintf(message.channel.text, sizeof(message.channel.text), "%s", text);
	if (control_send(VGPU_EXECUTOR_CONTROL_FD, type, &message) < 0)
		exit(3);
}

/* What the mediator promises about the process; each broken promise is a line of the log. */
static void surroundings_report(void)
{
	struct rlimit core;
	int extra = 0;

	getrlimit(RLIMIT_CORE, &core);
	for (int fd = VGPU_EXECUTOR_CONTROL_FD + 1; fd < 1024; fd++) {
		struct stat status;

		if (fstat(fd, &status) == 0)
			extra++;
	}
	fprintf(stderr,
		"surroundings: extra_fds=%d core=%lu personality=%x group_leader=%d preload=%s user=%u gpu=%s\n", extra,
		(unsigned long)core.rlim_cur, (unsigned)personality(0xffffffff), getpgrp() == getpid(),
		getenv("LD_PRELOAD") ? "yes" : "no", (unsigned)getuid(),
		getenv("CUDA_VISIBLE_DEVICES") ? getenv("CUDA_VISIBLE_DEVICES") : "all");
}

/* A process of its own, or of its parent's group, that ends with its parent. */
static pid_t idle_start(bool own_group)
{
	pid_t process = fork();

	if (process == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (own_group)
			setpgid(0, 0);
		for (;;)
			pause();
	}
	if (own_group)
		setpgid(process, process);
	return process;
}

static void greet(uint32_t channel, struct vgpu_executor_counters *counters)
{
	struct control_message message = {
		.guest_process = {.process_id = channel % 2 ? 78 : 77, .is_telemetry = channel == 0}};

	counters->process_id = message.guest_process.process_id;
	if (control_send(VGPU_EXECUTOR_CONTROL_FD, VGPU_CONTROL_GUEST_PROCESS, &message) < 0 ||
	    control_receive(VGPU_EXECUTOR_CONTROL_FD, &message) != 1 ||
	    message.header.type != VGPU_CONTROL_GUEST_DEVICES)
		exit(6);
	fprintf(stderr, "greeted: %u sees \"%s\"\n", channel, message.guest_devices.visible);
}

/* As one that was taken over may: the flags are those of all who have the same open file. */
static void waiting_make(int descriptor)
{
	int flags = fcntl(descriptor, F_GETFL);

	if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0)
		exit(7);
}

/* So that whoever writes to it as well would wait, if it is an eventfd. */
static void full_make(int descriptor)
{
	const uint64_t full = UINT64_MAX - 1;

	if (write(descriptor, &full, sizeof(full)) < 0)
		fprintf(stderr, "full: %s\n", strerror(errno));
}

/* Our parent, the mediator, is in a call of read and has been for a while: it waits. */
static bool parent_reads(void)
{
	char path[64];
	char call[8] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)getppid());
	for (int i = 0; i < 50; i++) {
		FILE *file = fopen(path, "r");
		bool reads = file && fgets(call, sizeof(call), file) && call[0] != 'r' && atoi(call) == SYS_read;

		if (file)
			fclose(file);
		if (!reads)
			return false;
		usleep(1000);
	}
	return true;
}

/* Rings, and takes the ring away when it was seen and before it was read. */
static void bell_steal(int bell)
{
	struct pollfd rung = {.fd = bell, .events = POLLIN};
	uint64_t count = 1;

	for (int i = 0; i < 20000 && !parent_reads(); i++) {
		if (write(bell, &count, sizeof(count)) < 0)
			exit(8);
		for (volatile int wait = 0; wait < i % 500 * 40; wait++)
			continue;
		if (poll(&rung, 1, 0) == 1 && read(bell, &count, sizeof(count)) < 0)
			exit(9);
		count = 1;
	}
}

static void *log_write_rest(void *page)
{
	static char start[4096];
	const struct iovec parts[] = {{start, sizeof(start)}, {page, sizeof(start)}};

	memset(start, '\n', sizeof(start));
	(void)!writev(STDERR_FILENO, parts, 2);
	return NULL;
}

/*
 * Were its log a pipe, whoever writes there would keep the pipe's lock until he has the page; a socket has no such
 * lock. This guards against a return to pipes. Says so in a line of its own, and returns false, where it cannot be
 * done.
 */
static bool log_block(void)
{
	static char lines[4096]; /* empty ones, which nobody counts */
	int fault = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register missing = {.range = {(uintptr_t)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct pollfd asked = {.fd = fault, .events = POLLIN};
	pthread_t thread;

	if (fault < 0 || page == MAP_FAILED || ioctl(fault, UFFDIO_API, &api) < 0 ||
	    ioctl(fault, UFFDIO_REGISTER, &missing) < 0) {
		fprintf(stderr, "no userfaultfd: %s\n", strerror(errno));
		return false;
	}
	memset(lines, '\n', sizeof(lines));
	/* After 64 KiB the mediator pauses, and then reads whatever is there; a pipe would hold more. */
	(void)fcntl(STDERR_FILENO, F_SETPIPE_SZ, 1 << 20);
	for (int i = 0; i < 50; i++)
		(void)!write(STDERR_FILENO, lines, sizeof(lines));
	if (pthread_create(&thread, NULL, log_write_rest, page) != 0 || poll(&asked, 1, -1) != 1)
		exit(11);
	return true;
}

static _Noreturn void bell_ring(int bell)
{
	const uint64_t one = 1;

	while (write(bell, &one, sizeof(one)) > 0)
		continue;
	exit(10);
}

static _Noreturn void tenant_ask(struct vgpu_executor_counters *counters)
{
	struct control_message question;
	struct control_message reply;

	for (;;) {
		question = (struct control_message){.tenant_query = {.pci_place = 0}};
		if (control_send(VGPU_EXECUTOR_CONTROL_FD, VGPU_CONTROL_TENANT_QUERY, &question) < 0 ||
		    control_receive(VGPU_EXECUTOR_CONTROL_FD, &reply) != 1)
			exit(0);
		control_message_release(&reply);
		counters->calls++;
	}
}

static void stowaway_send(int descriptor)
{
	struct control_message question = {.tenant_query = {.pci_place = 0}, .fds = {descriptor}, .fd_count = 1};

	(void)control_send(VGPU_EXECUTOR_CONTROL_FD, VGPU_CONTROL_TENANT_QUERY, &question);
}

int main(int argument_count, char **arguments)
{
	const char *behaviour;
	struct vgpu_executor_counters *counters;
	static const struct vgpu_permit_page no_permit;
	const struct vgpu_permit_page *permit = &no_permit;
	struct control_message start;
	unsigned char *memory;
	unsigned long long rings;
	int wake = -1;
	int bell = -1;
	bool control_open = true;
	bool ignores_end;

	if (argument_count == 3 && strcmp(arguments[1], "--probe") == 0)
		return probe_answer(arguments[2]);
	/* There is no NVML. */
	if (argument_count == 2 &&
	    (strcmp(arguments[1], "--sensors") == 0 || strcmp(arguments[1], "--gpu-events") == 0))
		return 0;
	behaviour = behaviour_read();
	surroundings_report();
	if (control_receive(VGPU_EXECUTOR_CONTROL_FD, &start) != 1 ||
	    start.header.type != VGPU_CONTROL_EXECUTOR_START ||
	    start.fd_count != 4 + start.executor_start.has_pass_socket + (start.executor_start.has_schedule ? 4 : 0))
		return 2;
	memory = mmap(NULL, start.executor_start.channel_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, start.fds[0],
		      (off_t)start.executor_start.channel_offset);
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, start.fds[3], 0);
	if (start.executor_start.has_schedule)
		permit = mmap(NULL, VGPU_SCHEDULE_PAGE_BYTES, PROT_READ, MAP_SHARED,
			      start.fds[4 + start.executor_start.has_pass_socket], 0);
	if (memory == MAP_FAILED || counters == MAP_FAILED || permit == MAP_FAILED)
		return 2;
	/* The channel must have been zeroed, whatever the guest left there. */
	for (size_t at = 0; at < start.executor_start.channel_bytes; at += 512) {
		if (memory[at]) {
			answer(VGPU_CONTROL_EXECUTOR_FAILED, VGPU_ERROR_PROTOCOL, "the channel is not zero");
			return 2;
		}
	}
	if (strcmp(behaviour, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(behaviour, "fail") == 0) {
		answer(VGPU_CONTROL_EXECUTOR_FAILED, VGPU_ERROR_NO_DRIVER, "a reason\nwith a second line");
		return 1;
	}
	if (strncmp(behaviour, "fail-", 5) == 0) {
		answer(VGPU_CONTROL_EXECUTOR_FAILED, (enum vgpu_channel_error)atoi(behaviour + 5),
		       "as a worker says it");
		return 1;
	}
	if (strcmp(behaviour, "hang-up") == 0)
		close(VGPU_EXECUTOR_CONTROL_FD);
	if (strcmp(behaviour, "silent") == 0 || strcmp(behaviour, "hang-up") == 0) {
		for (;;)
			pause();
	}
	if (strcmp(behaviour, "chatter") == 0) {
		for (int i = 0; i < 100000; i++)
			fprintf(stderr, "[cuda-executor] chatter %d\n", i);
	}
	ignores_end = strcmp(behaviour, "stubborn") == 0 || strcmp(behaviour, "leaver") == 0;
	if (ignores_end)
		signal(SIGTERM, SIG_IGN);
	if (strcmp(behaviour, "leaver") == 0) {
		idle_start(false);
		if (setpgid(0, idle_start(true)) < 0)
			return 5;
	}
	if (start.executor_start.has_schedule) {
		wake = start.fds[start.fd_count - 2];
		bell = start.fds[start.fd_count - 1];
	}
	memcpy(memory, "executor was here", 18);
	fprintf(stderr, "[cuda-executor] cuMemAlloc: allocating 4096 bytes\n");
	answer(VGPU_CONTROL_EXECUTOR_READY, VGPU_ERROR_NONE, "");
	if (strcmp(behaviour, "greets") == 0)
		greet(start.executor_start.channel, counters);
	if (strcmp(behaviour, "block-log") == 0) {
		if (log_block())
			fprintf(stderr, "[cuda-executor] has done its worst\n");
	} else if (strncmp(behaviour, "block-", 6) == 0) {
		signal(SIGPIPE, SIG_IGN);
		waiting_make(wake);
		waiting_make(bell);
		if (strcmp(behaviour, "block-wake") == 0)
			full_make(wake);
		else
			bell_steal(bell);
		fprintf(stderr, "[cuda-executor] has done its worst\n");
	}
	if (strcmp(behaviour, "ring") == 0)
		bell_ring(bell);
	if (strcmp(behaviour, "ask") == 0)
		tenant_ask(counters);
	for (int i = 0; i < 10 && strcmp(behaviour, "no-cuda-again") == 0; i++)
		driver_result_tell(false);
	if (strcmp(behaviour, "no-cuda") == 0 || strcmp(behaviour, "cuda") == 0)
		driver_result_tell(strcmp(behaviour, "cuda") == 0);
	for (;;) {
		struct pollfd sources[] = {
			{.fd = control_open ? VGPU_EXECUTOR_CONTROL_FD : -1, .events = POLLIN},
			{.fd = start.fds[1], .events = POLLIN},
		};

		poll(sources, 2, -1);
		if (sources[0].revents && !ignores_end)
			return 0;
		if (sources[0].revents)
			control_open = false;
		if (!sources[1].revents || read(start.fds[1], &rings, sizeof(rings)) != (ssize_t)sizeof(rings))
			continue;
		counters->calls += rings;
		counters->latencies[VGPU_CLASS_COPY].buckets[2] += rings;
		counters->latencies[VGPU_CLASS_COPY].sum_ns += 20000 * rings;
		if (strcmp(behaviour, "boast") == 0)
			memset(counters->latencies, 0xff, sizeof(counters->latencies));
		if (strcmp(behaviour, "settings") == 0)
			fprintf(stderr, "slow_call_ms=%llu bursts=%u of %llu us, linger %llu us\n",
				(unsigned long long)permit->slow_call_ms, permit->burst_count,
				(unsigned long long)permit->burst_ns / 1000,
				(unsigned long long)permit->linger_ns / 1000);
		if (strcmp(behaviour, "fault") == 0)
			answer(VGPU_CONTROL_EXECUTOR_FAULT, VGPU_ERROR_PROTOCOL, "a record longer than the ring");
		if (strcmp(behaviour, "host-fault") == 0)
			answer(VGPU_CONTROL_EXECUTOR_FAULT, VGPU_ERROR_NO_MEMORY, "no memory for replies that wait");
		if (strncmp(behaviour, "fault-", 6) == 0)
			answer(VGPU_CONTROL_EXECUTOR_FAULT, (enum vgpu_channel_error)atoi(behaviour + 6),
			       "as a relay says it");
		if (strcmp(behaviour, "stowaway") == 0)
			stowaway_send(start.fds[0]);
		if (strcmp(behaviour, "die") == 0)
			abort();
		rings = 1;
		if (write(start.fds[2], &rings, sizeof(rings)) < 0)
			return 4;
	}
}
