/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that read other lanes' registers.  With .sync they wait until
 * all lanes of the member mask (in ins->guard, one mask a lane) that still run
 * have arrived at the instruction.
 */
#include "control.h"
#include "exchange.h"

#include <string.h>

/* False: the group waits, and *ret_next says what runs instead. */
static bool exchange_gather(struct warp *warp, const struct instruction *ins, const struct instruction **ret_next)
{
	const uint32_t *members = lanes32(warp, ins->guard);
	uint32_t ready = 0;

	if (!(ins->flags & EXCHANGE_SYNC))
		return true;
	if (warp->forced_sync) {
		warp->forced_sync = false;
		return true;
	}
	if (warp->mask == warp->live)
		return true;
	LANES_OF(warp->mask, lane)
	ready |= members[lane] & warp->live & ~warp->mask ? 0 : 1u << lane;
	if (ready == warp->mask)
		return true;
	warp_group_add(warp, warp->mask & ~ready, ins, warp->frame, GROUP_WAIT_SYNC, 0);
	if (ready) {
		warp_lanes_set(warp, ready);
		return true;
	}
	*ret_next = warp_next(warp);
	return false;
}

/* The lanes that take part together with this one. */
static uint32_t exchange_members(struct warp *warp, const struct instruction *ins, unsigned lane)
{
	return ins->flags & EXCHANGE_SYNC ? lanes32(warp, ins->guard)[lane] & warp->mask : warp->mask;
}

const struct instruction *exchange_warp_sync(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;

	return exchange_gather(warp, ins, &next) ? ins + 1 : next;
}

static int shuffle_source(unsigned op, int lane, uint32_t b, uint32_t c, bool *valid)
{
	int segment = (int)(c >> 8 & 31), clamp = (int)(c & 31);
	int last = (lane & segment) | (clamp & ~segment & 31), first = lane & segment;
	int distance = (int)(b & 31), source;

	switch (op) {
	case SHUFFLE_UP:
		source = lane - distance;
		*valid = source >= last;
		break;
	case SHUFFLE_DOWN:
		source = lane + distance;
		*valid = source <= last;
		break;
	case SHUFFLE_BFLY:
		source = lane ^ distance;
		*valid = source <= last;
		break;
	default:
		source = first | (distance & ~segment & 31);
		*valid = source <= last;
		break;
	}
	return *valid ? source : lane;
}

const struct instruction *exchange_shuffle(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;
	uint32_t source[WARP_LANES], predicate = 0;

	if (!exchange_gather(warp, ins, &next))
		return next;
	memcpy(source, lanes32(warp, ins->a), sizeof(source));
	const uint32_t *b = lanes32(warp, ins->b), *c = lanes32(warp, ins->c);
	uint32_t result[WARP_LANES];

	LANES_OF(warp->mask, lane)
	{
		bool valid;

		result[lane] = source[shuffle_source(ins->op, (int)lane, b[lane], c[lane], &valid)];
		predicate |= (uint32_t)valid << lane;
	}
	if (ins->d) {
		uint32_t *d = lanes32(warp, ins->d);

		LANES_OF(warp->mask, lane)
		d[lane] = result[lane];
	}
	if (ins->q)
		predicate_write(warp, ins->q, warp->mask, predicate);
	return ins + 1;
}

const struct instruction *exchange_vote(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;
	uint32_t results = 0;

	if (!exchange_gather(warp, ins, &next))
		return next;
	uint32_t predicate = *lanes32(warp, ins->a) ^ (ins->negate_c ? WARP_FULL_MASK : 0);

	LANES_OF(warp->mask, lane)
	{
		uint32_t members = exchange_members(warp, ins, lane);
		uint32_t ballot = predicate & members;
		bool result = false;

		switch (ins->op) {
		case VOTE_ALL:
			result = ballot == members;
			break;
		case VOTE_ANY:
			result = ballot != 0;
			break;
		case VOTE_UNI:
			result = ballot == members || ballot == 0;
			break;
		default:
			lanes32(warp, ins->d)[lane] = ballot;
			break;
		}
		results |= (uint32_t)result << lane;
	}
	if (ins->op != VOTE_BALLOT)
		predicate_write(warp, ins->d, warp->mask, results);
	return ins + 1;
}

const struct instruction *exchange_match(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;
	uint32_t result[WARP_LANES], predicate = 0;
	bool wide = ins->wide & WIDE_A;

	if (!exchange_gather(warp, ins, &next))
		return next;
	LANES_OF(warp->mask, lane)
	{
		uint32_t members = exchange_members(warp, ins, lane), same = 0;
		uint64_t mine = lane_read(warp, ins->a, lane, wide);

		for (uint32_t rest = members; rest; rest &= rest - 1) {
			unsigned other = (unsigned)__builtin_ctz(rest);

			same |= lane_read(warp, ins->a, other, wide) == mine ? 1u << other : 0;
		}
		bool all = same == members;

		result[lane] = ins->op == MATCH_ANY || all ? same : 0;
		predicate |= (uint32_t)all << lane;
	}
	LANES_OF(warp->mask, lane)
	{
		if (ins->d)
			lanes32(warp, ins->d)[lane] = result[lane];
	}
	if (ins->q)
		predicate_write(warp, ins->q, warp->mask, predicate);
	return ins + 1;
}

static uint32_t reduce_step(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case REDUCE_ADD:
		return a + b;
	case REDUCE_MIN_U:
		return a < b ? a : b;
	case REDUCE_MAX_U:
		return a > b ? a : b;
	case REDUCE_MIN_S:
		return (int32_t)a < (int32_t)b ? a : b;
	case REDUCE_MAX_S:
		return (int32_t)a > (int32_t)b ? a : b;
	case REDUCE_AND:
		return a & b;
	case REDUCE_OR:
		return a | b;
	default:
		return a ^ b;
	}
}

const struct instruction *exchange_reduce(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;
	uint32_t source[WARP_LANES];

	if (!exchange_gather(warp, ins, &next))
		return next;
	memcpy(source, lanes32(warp, ins->a), sizeof(source));
	LANES_OF(warp->mask, lane)
	{
		uint32_t members = exchange_members(warp, ins, lane);

		/* A lane outside its own member mask is undefined behaviour; it gets its own value. */
		uint32_t result = source[members ? (uint32_t)__builtin_ctz(members) : lane];

		for (uint32_t rest = members & (members - 1); rest; rest &= rest - 1)
			result = reduce_step(ins->op, result, source[__builtin_ctz(rest)]);
		lanes32(warp, ins->d)[lane] = result;
	}
	return ins + 1;
}

const struct instruction *exchange_elect(struct warp *warp, const struct instruction *ins)
{
	const struct instruction *next;
	uint32_t elected = 0;

	if (!exchange_gather(warp, ins, &next))
		return next;
	LANES_OF(warp->mask, lane)
	{
		uint32_t members = exchange_members(warp, ins, lane);
		unsigned leader = members ? (unsigned)__builtin_ctz(members) : lane;

		elected |= (uint32_t)(leader == lane) << lane;
		if (ins->d)
			lanes32(warp, ins->d)[lane] = leader;
	}
	if (ins->q)
		predicate_write(warp, ins->q, warp->mask, elected);
	return ins + 1;
}

const struct instruction *exchange_activemask(struct warp *warp, const struct instruction *ins)
{
	uint32_t *d = lanes32(warp, ins->d);

	LANES_OF(warp->mask, lane)
	d[lane] = warp->mask;
	return ins + 1;
}
