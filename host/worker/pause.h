/* SPDX-License-Identifier: Apache-2.0 */
/* Looking again for a moment before sleeping, where there are processors to spare: a wake-up costs 5 to 50 us. */
#ifndef WORKER_PAUSE_H
#define WORKER_PAUSE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PAUSE_SPIN_NS		  50000u
#define PAUSE_PROCESSORS_TO_SPARE 8

struct pause {
	bool spins;
	uint64_t end_ns; /* 0: not spinning */
};

static inline uint64_t pause_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void pause_open(struct pause *pause)
{
	cpu_set_t set;

	*pause = (struct pause){.spins = sched_getaffinity(0, sizeof(set), &set) == 0 &&
					 CPU_COUNT(&set) >= PAUSE_PROCESSORS_TO_SPARE};
}

static inline void pause_reset(struct pause *pause)
{
	pause->end_ns = 0;
}

/* True: look again, do not sleep yet. */
static inline bool pause_spin(struct pause *pause)
{
	if (!pause->spins)
		return false;
	if (!pause->end_ns) {
		pause->end_ns = pause_now_ns() + PAUSE_SPIN_NS;
		return true;
	}
	if (pause_now_ns() < pause->end_ns)
		return true;
	pause->end_ns = 0;
	return false;
}

#endif
