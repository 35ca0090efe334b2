/* SPDX-License-Identifier: Apache-2.0 */
/* Divergent control flow: the host runs the same code one thread at a time. */
#include "cases.h"

static uint32_t nested(uint32_t value)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < (value & 7) + 1; i++) {
		for (uint32_t j = 0; j < ((value >> 3) & 7) + 1; j++) {
			if ((i ^ j) & 1)
				continue;
			if (i * j > 20)
				break;
			uint32_t k = 0;
			while (true) {
				sum += i * 31 + j * 7 + k;
				if (++k > ((value >> 6) & 3) || (sum & 15) == 13)
					break;
				do {
					sum ^= sum << 1;
				} while ((sum & 3) == 1 && sum < 1000);
			}
		}
		if (sum > 100000)
			return ~sum;
	}
	return sum;
}

static uint32_t switches(uint32_t value)
{
	uint32_t state = value % 11, result = 1;
	for (uint32_t steps = 0; steps < 40; steps++) {
		if (state == 0) {
			result += 3;
			state = 4;
		} else if (state == 1) {
			result *= 5;
			state = value & 1 ? 2 : 7;
		} else if (state == 2 || state == 3) {
			if (state == 2)
				result ^= value;
			result = result << 3 | result >> 29;
			state = 9;
		} else if (state == 4) {
			state = result & 1 ? 6 : 5;
		} else if (state == 5) {
			result -= steps;
			state = 1;
		} else if (state == 6) {
			result ^= 0x55aa55aau;
			state = result % 11;
		} else if (state == 7) {
			for (uint32_t i = 0; i < (value & 3); i++)
				result += i * i;
			state = 8;
		} else if (state == 8) {
			if (steps > 30)
				return result;
			state = 10;
		} else if (state == 9) {
			result += value;
			state = (state + result) % 11;
		} else {
			result = result * 1103515245u + 12345u;
			state = result % 9;
			if (state == 4 && steps > 20)
				return result;
		}
	}
	return result + 1000;
}

static uint32_t gotos(uint32_t value)
{
	uint32_t sum = value, turns = 0;
	bool at_start = !(value & 1);
	while (true) {
		if (at_start) {
			sum = sum * 3 + 1;
			if (turns > 12)
				break;
		}
		sum ^= sum >> 3;
		turns++;
		at_start = true;
		if (sum & 2)
			continue;
		if (turns > 9)
			break;
		sum += 7;
		at_start = !(sum & 4);
	}
	return sum + turns;
}

static uint32_t fibonacci(uint32_t n)
{
	uint32_t a = 0, b = 1;
	for (; n > 0; n--) {
		uint32_t next = a + b;
		a = b;
		b = next;
	}
	return a;
}

/* Ackermann's function with m = 2 is 2n + 3. */
static uint32_t recursion(uint32_t value)
{
	return value & 1 ? fibonacci(value % 14) : 2 * (value % 5) + 3;
}

static void run_each(struct trial *trial, const char *kernel, uint32_t (*reference)(uint32_t))
{
	unsigned count = 2000;
	uint32_t *input = trial_allocate(trial, count, 4), *expected = trial_allocate(trial, count, 4);
	for (unsigned i = 0; i < count; i++) {
		input[i] = (uint32_t)trial_random(trial) >> (i % 5 * 4);
		expected[i] = reference(input[i]);
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * 4), d_output = trial_reserve(trial, count * 4);
	trial_launch(trial, "divergence", kernel, TRIAL_LINE(count, 192), TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, count * 4), expected, count);
}

static void run_nested(struct trial *trial)
{
	run_each(trial, "diverge_nested", nested);
}

static void run_switch(struct trial *trial)
{
	run_each(trial, "diverge_switch", switches);
}

static void run_goto(struct trial *trial)
{
	run_each(trial, "diverge_goto", gotos);
}

static void run_recursion(struct trial *trial)
{
	run_each(trial, "diverge_recursion", recursion);
}

static void run_votes(struct trial *trial)
{
	enum { COUNT = 640 };
	uint32_t *input = trial_allocate(trial, COUNT, 4), *expected = trial_allocate(trial, COUNT, 4);
	for (unsigned i = 0; i < COUNT; i++)
		input[i] = (uint32_t)trial_random(trial);
	for (unsigned i = 0; i < COUNT; i++) {
		uint32_t lane = i % 32, thirds = 0, others = 0, fours = 0;
		for (unsigned j = 0; j < 32; j++) {
			uint32_t value = input[i - lane + j];
			if (j % 3 == 0)
				thirds |= (value & 1) << j;
			else
				others |= (value >> 1 & 1) << j;
			fours += value >> 2 & 1;
		}
		uint32_t result = lane % 3 == 0 ? 1 + thirds : (lane & 1 ? others ^ 0xf0f0f0f0u : others);
		expected[i] = result + fours;
	}
	CUdeviceptr d_input = trial_upload(trial, input, COUNT * 4), d_output = trial_reserve(trial, COUNT * 4);
	trial_launch(trial, "divergence", "diverge_votes", TRIAL_LINE(COUNT, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, COUNT * 4), expected, COUNT);
}

const struct trial_case cases_control[] = {
	{"diverge_nested", run_nested},	      {"diverge_switch", run_switch}, {"diverge_goto", run_goto},
	{"diverge_recursion", run_recursion}, {"diverge_votes", run_votes},   {NULL, NULL},
};
