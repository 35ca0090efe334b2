/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

#include <time.h>

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void pace_init(struct pace *pace)
{
	*pace = (struct pace){.tokens = PACE_STARTS_AT_ONCE, .updated_seconds = seconds_now()};
}

unsigned pace_take(struct pace *pace)
{
	double now = seconds_now();

	pace->tokens += (now - pace->updated_seconds) * PACE_STARTS_PER_SECOND;
	pace->updated_seconds = now;
	if (pace->tokens > PACE_STARTS_AT_ONCE)
		pace->tokens = PACE_STARTS_AT_ONCE;
	if (pace->tokens < 1)
		/* A little more, for timers and rounding: asking too early would only be asking twice. */
		return (unsigned)((1 - pace->tokens) / PACE_STARTS_PER_SECOND * 1e6) + 1000;
	pace->tokens -= 1;
	return 0;
}
