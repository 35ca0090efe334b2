/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simulate [OPTION...] GROUP...: runs a scheduling policy, the mediator's own code, over workloads in virtual time.
 *
 *   GROUP        COUNT:WEIGHT:CLASS:KERNEL_US[:PAUSE_US[:KERNELS]]
 *                that many VMs of a weight and class (low, medium, high) whose kernels take KERNEL_US. Without
 *                PAUSE_US there is always another kernel. With it a VM asks for KERNELS (1) at a time and pauses
 *                after they are done.
 *   COUNT:WEIGHT:CLASS:@FILE
 *                a recorded workload: lines "ARRIVAL_US WORK_US", played from its start again at its end
 *   --policy NAME  --slice US  --aging MS  --seconds S  --handover US
 *   --linger US    who has no work keeps his turn that long within his slice
 *   --switch US    what the GPU needs at the start of a turn to change programs: charged, and no kernel runs
 *   --burst US     work goes to the GPU in bursts of that length; who stops leaves so many in flight, which are
 * drained:
 *   --bursts N     (2); with one the GPU waits for the next one each time:
 *   --gap US       (7)
 *   --ends         who has done what it asked for ends, and starts anew when it asks again
 *   --csv          one line for each group, for programs
 *
 * It prints, for each group, the share of the used GPU time, the entitlement by weight, the waits between asking
 * and being served, and Jain's index of share by weight over the VMs that always have work (Jain, Chiu, Hawe 1984).
 * A kernel is never interrupted. "Kernels" is the share of the time in which kernels ran, "done" what of
 * all time the group's kernels ran.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulation.h"

static void fail(const char *text)
{
	fprintf(stderr, "simulate: %s\n", text);
	exit(64);
}

static uint64_t random_next(struct simulation *simulation)
{
	simulation->random ^= simulation->random << 13;
	simulation->random ^= simulation->random >> 7;
	simulation->random ^= simulation->random << 17;
	return simulation->random;
}

static void heap_push(struct simulation *simulation, struct machine *machine)
{
	size_t at = simulation->heap_count++;

	while (at > 0 && simulation->heap[(at - 1) / 2]->next_ns > machine->next_ns) {
		simulation->heap[at] = simulation->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	simulation->heap[at] = machine;
}

static struct machine *heap_pop(struct simulation *simulation)
{
	struct machine *first = simulation->heap[0];
	struct machine *last = simulation->heap[--simulation->heap_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= simulation->heap_count)
			break;
		if (child + 1 < simulation->heap_count &&
		    simulation->heap[child + 1]->next_ns < simulation->heap[child]->next_ns)
			child++;
		if (simulation->heap[child]->next_ns >= last->next_ns)
			break;
		simulation->heap[at] = simulation->heap[child];
		at = child;
	}
	simulation->heap[at] = last;
	return first;
}

/* When and how much the machine asks for next. */
static void next_set(struct simulation *simulation, struct machine *machine)
{
	struct group *group = machine->group;

	if (group->trace.count) {
		if (machine->trace_at == group->trace.count) {
			machine->trace_at = 0;
			machine->trace_start_ns = simulation->now_ns;
		}
		machine->next_ns = machine->trace_start_ns + group->trace.entries[machine->trace_at][0];
		machine->kernel_ns = group->trace.entries[machine->trace_at++][1];
	} else {
		/* Half to one and a half times the pause, so that machines do not march in step. */
		machine->next_ns =
			simulation->now_ns + group->pause_ns / 2 + random_next(simulation) % (group->pause_ns + 1);
	}
}

static void asks_later(struct simulation *simulation, struct machine *machine)
{
	next_set(simulation, machine);
	heap_push(simulation, machine);
}

static void asks(struct machine *machine)
{
	machine->work_ns = machine->kernel_ns * machine->group->kernels;
}

/* Those whose time has come begin to wait. */
static void arrivals_take(struct simulation *simulation)
{
	while (simulation->heap_count && simulation->heap[0]->next_ns <= simulation->now_ns) {
		struct machine *machine = heap_pop(simulation);

		asks(machine);
		if (machine->has_ended) {
			policy_tenant_add(&simulation->queue, &machine->policy);
			/* Of what a tenant was charged when, only its debt is remembered. */
			machine->policy.charged_at_ns = 0;
			machine->has_ended = false;
		}
		policy_arrive(&simulation->queue, &machine->policy, machine->next_ns);
	}
}

static void wait_note(struct group *group, uint64_t wait_ns)
{
	if (group->wait_count < WAITS_MAX)
		group->waits[group->wait_count++] = wait_ns;
}

static bool someone_waits(const struct simulation *simulation)
{
	const struct policy_tenant *tenant;

	LIST_FOREACH(tenant, &simulation->queue.tenants, link)
	{
		if (tenant->is_waiting)
			return true;
	}
	return false;
}

/* As the scheduler does: who comes now starts at the present, which the current one has to have paid for. */
static void charge(struct simulation *simulation, struct machine *machine, uint64_t *charged_ns)
{
	policy_charge(&simulation->queue, &machine->policy, simulation->now_ns - *charged_ns, simulation->now_ns);
	*charged_ns = simulation->now_ns;
}

/* A kernel of the machine's is over. */
static void kernel_run(struct simulation *simulation, struct machine *machine)
{
	simulation->now_ns += machine->kernel_ns;
	machine->done_ns += machine->kernel_ns;
	if (machine->work_ns != UINT64_MAX)
		machine->work_ns -= machine->kernel_ns;
}

/* It stops: what is in flight is done. With its kernel that was not to be interrupted that is a burst less. */
static void drain(struct simulation *simulation, struct machine *machine)
{
	uint64_t left_ns = simulation->burst_ns * simulation->bursts;

	for (; machine->work_ns && machine->kernel_ns <= left_ns; left_ns -= machine->kernel_ns)
		kernel_run(simulation, machine);
}

/* With one burst at a time nothing is on the GPU until the next one comes. */
static void gap_take(struct simulation *simulation, const struct machine *machine, uint64_t *in_burst_ns)
{
	if (!simulation->burst_ns || simulation->bursts > 1)
		return;
	*in_burst_ns += machine->kernel_ns;
	if (*in_burst_ns < simulation->burst_ns)
		return;
	simulation->now_ns += simulation->gap_ns;
	*in_burst_ns = 0;
}

static void machine_run(struct simulation *simulation, struct machine *machine, bool is_switch)
{
	uint64_t slice = simulation->queue.policy->slice(&simulation->queue, &machine->policy, 0);
	uint64_t began = simulation->now_ns;
	uint64_t charged = began;
	bool is_asking_later = false;
	uint64_t in_burst_ns = 0;

	if (is_switch)
		simulation->now_ns += simulation->switch_ns;
	while (machine->work_ns && simulation->now_ns < simulation->end_ns) {
		kernel_run(simulation, machine);
		gap_take(simulation, machine, &in_burst_ns);
		if (simulation->heap_count && simulation->heap[0]->next_ns <= simulation->now_ns) {
			charge(simulation, machine, &charged);
			arrivals_take(simulation);
			slice = simulation->queue.policy->slice(&simulation->queue, &machine->policy, charged - began);
			if (policy_is_preempted(&simulation->queue, &machine->policy, simulation->now_ns))
				break;
		}
		if (simulation->now_ns - began >= slice && someone_waits(simulation)) {
			drain(simulation, machine);
			break;
		}
		if (machine->work_ns)
			continue;
		next_set(simulation, machine);
		is_asking_later = true;
		if (machine->next_ns - simulation->now_ns > simulation->linger_ns || machine->next_ns - began >= slice)
			break;
		is_asking_later = false;
		simulation->now_ns = machine->next_ns;
		asks(machine);
	}
	simulation->busy_ns += simulation->now_ns - began;
	charge(simulation, machine, &charged);
	policy_turn_end(&machine->policy, slice == POLICY_FOREVER ? slice : began + slice, simulation->now_ns);
	if (!machine->work_ns && simulation->ends) {
		policy_tenant_remove(&simulation->queue, &machine->policy);
		machine->has_ended = true;
	}
	if (machine->work_ns)
		policy_arrive(&simulation->queue, &machine->policy, simulation->now_ns);
	else if (is_asking_later)
		heap_push(simulation, machine);
	else
		asks_later(simulation, machine);
}

static void run(struct simulation *simulation)
{
	const struct machine *previous = NULL;

	while (simulation->now_ns < simulation->end_ns) {
		struct policy_tenant *chosen;
		struct machine *machine;

		arrivals_take(simulation);
		chosen = policy_choose(&simulation->queue, simulation->now_ns);
		if (!chosen) {
			if (!simulation->heap_count)
				break;
			simulation->now_ns = simulation->heap[0]->next_ns;
			continue;
		}
		machine = (struct machine *)chosen;
		if (previous && machine != previous)
			simulation->now_ns += simulation->handover_ns;
		wait_note(machine->group, simulation->now_ns - chosen->waiting_since_ns);
		machine_run(simulation, machine, machine != previous);
		previous = machine;
	}
}

static unsigned class_parse(const char *text)
{
	static const char *const names[] = {"low", "medium", "high"};

	for (unsigned i = 0; i < POLICY_CLASS_COUNT; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
	}
	fail("a class is low, medium or high");
	return 0;
}

static void trace_read(struct trace *trace, const char *path)
{
	FILE *file = fopen(path, "re");
	double arrival, work;

	trace->entries = calloc(TRACE_MAX, sizeof(*trace->entries));
	if (!file || !trace->entries)
		fail("the recorded workload cannot be read");
	while (trace->count < TRACE_MAX && fscanf(file, "%lf %lf", &arrival, &work) == 2) {
		trace->entries[trace->count][0] = (uint64_t)(arrival * 1e3);
		trace->entries[trace->count++][1] = (uint64_t)(work * 1e3) + 1;
	}
	fclose(file);
	if (!trace->count)
		fail("the recorded workload is empty");
}

static void group_parse(struct simulation *simulation, char *text)
{
	char *fields[6] = {NULL};
	struct group *group;
	size_t count = 0;

	for (char *rest = text, *field; count < 6 && (field = strsep(&rest, ":"));)
		fields[count++] = field;
	if (count < 4 || simulation->group_count == GROUPS_MAX)
		fail("a group is COUNT:WEIGHT:CLASS:KERNEL_US[:PAUSE_US[:KERNELS]]");
	group = &simulation->groups[simulation->group_count++];
	*group = (struct group){
		.count = (unsigned)atoi(fields[0]),
		.weight = (unsigned)atoi(fields[1]),
		.class = class_parse(fields[2]),
		.kernels = count > 5 ? (unsigned)atoi(fields[5]) : 1,
		.is_endless = count == 4 && fields[3][0] != '@',
		.waits = calloc(WAITS_MAX, sizeof(uint64_t)),
	};
	if (fields[3][0] == '@')
		trace_read(&group->trace, fields[3] + 1);
	else
		group->kernel_ns = (uint64_t)(atof(fields[3]) * 1e3);
	if (count > 4)
		group->pause_ns = (uint64_t)(atof(fields[4]) * 1e3);
	if (!group->waits || !group->count || !group->weight || group->weight > POLICY_WEIGHT_MAX || !group->kernels ||
	    (!group->kernel_ns && !group->trace.count))
		fail("a group's numbers are positive, its weight at most 100");
	simulation->machine_count += group->count;
}

static void machines_make(struct simulation *simulation)
{
	struct machine *machine;

	simulation->machines = calloc(simulation->machine_count, sizeof(*simulation->machines));
	simulation->heap = calloc(simulation->machine_count + 1, sizeof(*simulation->heap));
	if (!simulation->machines || !simulation->heap)
		fail("no memory");
	machine = simulation->machines;
	for (size_t i = 0; i < simulation->group_count; i++) {
		struct group *group = &simulation->groups[i];

		for (unsigned j = 0; j < group->count; j++, machine++) {
			*machine = (struct machine){.group = group, .kernel_ns = group->kernel_ns};
			snprintf(machine->policy.name, sizeof(machine->policy.name), "%zu.%u", i, j);
			machine->policy.weight = group->weight;
			machine->policy.priority = group->class;
			policy_tenant_add(&simulation->queue, &machine->policy);
			if (group->is_endless) {
				machine->work_ns = UINT64_MAX;
				policy_arrive(&simulation->queue, &machine->policy, 0);
			} else {
				asks_later(simulation, machine);
			}
		}
	}
}

int main(int count, char **arguments)
{
	static const struct option known[] = {
		{"policy", required_argument, NULL, 'p'},
		{"slice", required_argument, NULL, 's'},
		{"aging", required_argument, NULL, 'a'},
		{"seconds", required_argument, NULL, 't'},
		{"handover", required_argument, NULL, 'h'},
		{"linger", required_argument, NULL, 'l'},
		{"switch", required_argument, NULL, 'w'},
		{"burst", required_argument, NULL, 'b'},
		{"bursts", required_argument, NULL, 'n'},
		{"gap", required_argument, NULL, 'g'},
		{"ends", no_argument, NULL, 'e'},
		{"csv", no_argument, NULL, 'c'},
		{0},
	};
	static struct simulation simulation = {.random = 88172645463325252u};
	const struct policy *policy = &policy_fair;
	double slice_us = 5000, aging_ms = 500, seconds = 60, handover_us = 50, linger_us = 0, switch_us = 0,
	       burst_us = 0, gap_us = 7;
	int bursts = 2;
	int option;

	while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
		switch (option) {
		case 'p':
			policy = policy_find(optarg);
			break;
		case 's':
			slice_us = atof(optarg);
			break;
		case 'a':
			aging_ms = atof(optarg);
			break;
		case 't':
			seconds = atof(optarg);
			break;
		case 'h':
			handover_us = atof(optarg);
			break;
		case 'l':
			linger_us = atof(optarg);
			break;
		case 'w':
			switch_us = atof(optarg);
			break;
		case 'b':
			burst_us = atof(optarg);
			break;
		case 'n':
			bursts = atoi(optarg);
			break;
		case 'g':
			gap_us = atof(optarg);
			break;
		case 'e':
			simulation.ends = true;
			break;
		case 'c':
			simulation.as_csv = true;
			break;
		default:
			return 64;
		}
	}
	if (!policy || slice_us <= 0 || seconds <= 0 || optind == count)
		fail("usage: simulate [--policy NAME] [--slice US] [--aging MS] [--seconds S] [--handover US] "
		     "[--linger US] [--switch US] [--burst US] [--bursts N] [--gap US] [--ends] GROUP...");
	policy_queue_init(&simulation.queue, policy, (uint64_t)(slice_us * 1e3), (uint64_t)(aging_ms * 1e6));
	simulation.end_ns = (uint64_t)(seconds * 1e9);
	simulation.handover_ns = (uint64_t)(handover_us * 1e3);
	simulation.linger_ns = (uint64_t)(linger_us * 1e3);
	simulation.burst_ns = (uint64_t)(burst_us * 1e3);
	simulation.bursts = bursts > 0 ? (unsigned)bursts : 1;
	simulation.gap_ns = (uint64_t)(gap_us * 1e3);
	simulation.switch_ns = (uint64_t)(switch_us * 1e3);
	for (int i = optind; i < count; i++)
		group_parse(&simulation, arguments[i]);
	machines_make(&simulation);
	run(&simulation);
	simulation_report(&simulation);
	return 0;
}
