/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "simulation.h"

static int waits_compare(const void *one, const void *other)
{
	uint64_t x = *(const uint64_t *)one, y = *(const uint64_t *)other;

	return (x > y) - (x < y);
}

static double wait_ms(const struct group *group, double part)
{
	return group->wait_count ? (double)group->waits[(size_t)((double)(group->wait_count - 1) * part)] / 1e6 : 0;
}

/* Of used / weight over the machines that always have work, whose class is the highest such. */
static double jain(const struct simulation *simulation)
{
	double sum = 0, squares = 0;
	unsigned count = 0, class = 0;

	for (size_t i = 0; i < simulation->group_count; i++) {
		if (simulation->groups[i].is_endless && simulation->groups[i].class > class)
			class = simulation->groups[i].class;
	}
	for (size_t i = 0; i < simulation->machine_count; i++) {
		const struct machine *machine = &simulation->machines[i];
		double value = (double)machine->policy.used_ns / machine->policy.weight;

		if (!machine->group->is_endless || machine->group->class != class)
			continue;
		sum += value;
		squares += value * value;
		count++;
	}
	return count && squares > 0 ? sum * sum / (count * squares) : 1;
}

void simulation_report(struct simulation *simulation)
{
	double weights = 0, kernels_ns = 0;

	for (size_t i = 0; i < simulation->group_count; i++)
		weights += (double)simulation->groups[i].count * simulation->groups[i].weight;
	for (size_t i = 0; i < simulation->machine_count; i++)
		kernels_ns += (double)simulation->machines[i].done_ns;
	if (!simulation->as_csv)
		printf("| VMs | weight | class | entitled | share | kernels | least / most of a VM | wait p50 ms | "
		       "wait p99 ms | done "
		       "|\n"
		       "|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < simulation->group_count; i++) {
		static const char *const names[] = {"low", "medium", "high"};
		struct group *group = &simulation->groups[i];
		uint64_t used = 0, done = 0, least = UINT64_MAX, most = 0;

		for (size_t j = 0; j < simulation->machine_count; j++) {
			uint64_t own = simulation->machines[j].done_ns;

			if (simulation->machines[j].group != group)
				continue;
			used += simulation->machines[j].policy.used_ns;
			done += own;
			least = own < least ? own : least;
			most = own > most ? own : most;
		}
		qsort(group->waits, group->wait_count, sizeof(uint64_t), waits_compare);
		printf(simulation->as_csv ? "%u,%u,%s,%.5f,%.5f,%.5f,%.5f,%.3f,%.3f,%.5f\n"
					  : "| %u | %u | %s | %.4f | %.4f | %.4f | %.3f | %.2f | %.2f | %.4f |\n",
		       group->count, group->weight, names[group->class], group->count * group->weight / weights,
		       (double)used / (double)simulation->busy_ns, (double)done / kernels_ns,
		       most ? (double)least / (double)most : 0, wait_ms(group, 0.5), wait_ms(group, 0.99),
		       (double)done / (double)simulation->now_ns);
	}
	printf(simulation->as_csv ? "%s,%.5f,%.5f\n" : "\n%s: Jain's index %.4f, GPU used %.4f of the time\n",
	       simulation->queue.policy->name, jain(simulation),
	       (double)simulation->busy_ns / (double)simulation->now_ns);
}
