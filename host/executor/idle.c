/* SPDX-License-Identifier: Apache-2.0 */
#include "idle.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <time.h>

#define SPIN_NS_SHORT	     50000u
#define SPIN_NS_LONG	     1000000u /* with processors to spare: what a program does between two tokens */
#define SPIN_NS_MIN	     2000u
#define SPIN_GPU_NS_MAX	     10000000u /* with processors to spare, as the native library does */
#define SPIN_GPU_NS_SHARED   50000u
#define SPIN_GPU_NS_SOFTWARE 10000u
#define PROCESSORS_TO_SPARE  4
#define PROCESSORS_FOR_LONG  8

/* A pause while the GPU is waited for: a part of the time already waited, within bounds. */
struct pause_rule {
	uint64_t part;
	uint64_t least_ns;
	uint64_t most_ns;
};

static const struct pause_rule gpu_pause = {.part = 256, .least_ns = 10000, .most_ns = 250000};
static const struct pause_rule software_pause = {.part = 64, .least_ns = 50000, .most_ns = 1000000};

#define LOOK_INTERVAL_NS 1000000000u
#define NAP_NS_MAX	 10000000u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void processor_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void idle_open(struct idle *idle, bool gpu_is_software)
{
	cpu_set_t set;

	*idle = (struct idle){.processors = 1, .gpu_is_software = gpu_is_software};
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		idle->processors = (unsigned)CPU_COUNT(&set);
	idle->spin_long_ns = !gpu_is_software && idle->processors >= PROCESSORS_FOR_LONG ? SPIN_NS_LONG : SPIN_NS_SHORT;
	idle->spin_ns = idle->spin_long_ns;
	/* Timers are late by 50 us otherwise. */
	prctl(PR_SET_TIMERSLACK, 1);
}

static void load_look(struct idle *idle, uint64_t now)
{
	struct sysinfo info;
	unsigned long half_threads;

	if (now - idle->looked_ns < LOOK_INTERVAL_NS)
		return;
	idle->looked_ns = now;
	half_threads = sysinfo(&info) == 0 ? info.loads[0] >> (SI_LOAD_SHIFT - 1) : 0;
	idle->is_busy = half_threads >= 2ul * idle->processors;
	idle->is_half_busy = half_threads >= idle->processors;
}

/* Many executors that spin are themselves what makes a machine busy. */
static uint64_t spin_most(const struct idle *idle)
{
	return idle->is_half_busy ? SPIN_NS_SHORT : idle->spin_long_ns;
}

void idle_end(struct idle *idle)
{
	if (idle->has_slept && !idle->has_waited) {
		/* However short the last spins were: one of that length would have saved this wake-up. */
		if (now_ns() - idle->since_ns <= spin_most(idle))
			idle->spin_ns = spin_most(idle);
		else if (idle->spin_ns > SPIN_NS_MIN)
			idle->spin_ns /= 2;
	}
	idle->since_ns = 0;
	idle->has_slept = false;
	idle->has_waited = false;
}

static uint64_t spin_budget(const struct idle *idle, enum idle_reason reason)
{
	uint64_t budget = SPIN_NS_SHORT;

	if (idle->processors == 1)
		return 0;
	if (reason == IDLE_FOR_RECORDS)
		budget = idle->spin_ns < spin_most(idle) ? idle->spin_ns : spin_most(idle);
	else if (reason == IDLE_FOR_GPU && idle->gpu_is_software)
		budget = SPIN_GPU_NS_SOFTWARE;
	else if (reason == IDLE_FOR_GPU)
		budget = idle->processors >= PROCESSORS_TO_SPARE ? SPIN_GPU_NS_MAX : SPIN_GPU_NS_SHARED;
	return idle->is_busy ? budget / 8 : budget;
}

bool idle_spin(struct idle *idle, enum idle_reason reason)
{
	uint64_t now = now_ns();

	if (!idle->since_ns) {
		idle->since_ns = now;
		load_look(idle, now);
	}
	if (now - idle->since_ns >= spin_budget(idle, reason))
		return false;
	processor_relax();
	return true;
}

void idle_nap(struct idle *idle, uint64_t until_ns)
{
	uint64_t now = now_ns();
	uint64_t nap_ns = until_ns > now ? until_ns - now : 0;
	struct timespec nap = {0};

	idle->has_slept = true;
	idle->has_waited = true;
	nap.tv_nsec = (long)(nap_ns < NAP_NS_MAX ? nap_ns : NAP_NS_MAX);
	nanosleep(&nap, NULL);
}

int idle_sleep(struct idle *idle, int doorbell, int wake, enum idle_reason reason)
{
	struct pollfd waits[] = {{.fd = doorbell, .events = POLLIN}, {.fd = wake, .events = POLLIN}};
	struct timespec pause = {0};
	int ready;

	idle->has_slept = true;
	idle->has_waited |= reason != IDLE_FOR_RECORDS;
	if (reason == IDLE_FOR_GPU) {
		const struct pause_rule *rule = idle->gpu_is_software ? &software_pause : &gpu_pause;
		uint64_t pause_ns = (now_ns() - idle->since_ns) / rule->part;

		if (pause_ns < rule->least_ns)
			pause_ns = rule->least_ns;
		if (pause_ns > rule->most_ns)
			pause_ns = rule->most_ns;
		pause.tv_nsec = (long)pause_ns;
	}
	ready = ppoll(waits, 2, reason == IDLE_FOR_GPU ? &pause : NULL, NULL);
	if (ready < 0)
		return errno == EINTR ? 0 : -1;
	if (ready > 0 && !((waits[0].revents | waits[1].revents) & POLLIN)) {
		errno = EBADF;
		return -1;
	}
	return ready > 0;
}
