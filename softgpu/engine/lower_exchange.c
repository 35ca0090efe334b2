/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "exchange.h"

/* Where the member mask of a .sync instruction is, always its last operand. */
static bool members_read(struct lower *lower, bool sync, uint32_t *ret_offset)
{
	*ret_offset = 0;
	return !sync ||
	       lower_source(lower, lower_operand(lower, lower->statement->operand_count - 1), PTX_B32, ret_offset);
}

/* "d|p", of which either may be "_". */
static bool destinations_read(struct lower *lower, uint32_t *ret_d, uint32_t *ret_q)
{
	const struct ptx_operand *operand = lower_operand(lower, 0);

	*ret_d = 0;
	*ret_q = 0;
	if (operand->second) {
		if (operand->second->type != PTX_PRED)
			return lower_invalid(lower, "expected a predicate");
		*ret_q = operand->second->offset;
	}
	return operand->kind == OPERAND_SINK || lower_destination(lower, operand, false, ret_d);
}

static bool lower_shfl(struct lower *lower)
{
	static const char *const modes[] = {"up", "down", "bfly", "idx"};
	bool sync = lower_take(lower, "sync");
	unsigned mode = 0;
	uint32_t d, q, a, b, c, members;

	while (mode < 4 && !lower_take(lower, modes[mode]))
		mode++;
	if (mode == 4 || lower_take_type(lower) != PTX_B32)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, sync ? 5 : 4, sync ? 5 : 4) || !destinations_read(lower, &d, &q) ||
	    !lower_source(lower, lower_operand(lower, 1), PTX_B32, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), PTX_B32, &b) ||
	    !lower_source(lower, lower_operand(lower, 3), PTX_B32, &c) || !members_read(lower, sync, &members))
		return false;
	struct instruction *ins = lower_emit(lower, exchange_shuffle);

	if (!ins)
		return false;
	ins->d = d;
	ins->q = q;
	ins->a = a;
	ins->b = b;
	ins->c = c;
	ins->guard = members;
	ins->op = (uint8_t)mode;
	ins->flags = sync ? EXCHANGE_SYNC : 0;
	return true;
}

static bool lower_vote(struct lower *lower)
{
	static const char *const modes[] = {"all", "any", "uni", "ballot"};
	bool sync = lower_take(lower, "sync"), negated;
	unsigned mode = 0;
	uint32_t d, a, members;

	while (mode < 4 && !lower_take(lower, modes[mode]))
		mode++;
	if (mode == 4)
		return lower_unsupported(lower);
	lower_take_type(lower);
	if (!lower_operand_count(lower, sync ? 3 : 2, sync ? 3 : 2) ||
	    !lower_predicate(lower, lower_operand(lower, 1), &a, &negated) || !members_read(lower, sync, &members))
		return false;
	if (mode == VOTE_BALLOT ? !lower_destination(lower, lower_operand(lower, 0), false, &d)
				: !lower_predicate_destination(lower, lower_operand(lower, 0), &d))
		return false;
	struct instruction *ins = lower_emit(lower, exchange_vote);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->negate_c = negated;
	ins->guard = members;
	ins->op = (uint8_t)mode;
	ins->flags = sync ? EXCHANGE_SYNC : 0;
	return true;
}

static bool lower_match(struct lower *lower)
{
	bool any = lower_take(lower, "any"), all = lower_take(lower, "all"), sync = lower_take(lower, "sync");
	enum ptx_type type = lower_take_type(lower);
	uint32_t d, q, a, members;

	if (any == all || !sync || (type != PTX_B32 && type != PTX_B64))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 3, 3) || !destinations_read(lower, &d, &q) ||
	    !lower_source(lower, lower_operand(lower, 1), type, &a) || !members_read(lower, sync, &members))
		return false;
	struct instruction *ins = lower_emit(lower, exchange_match);

	if (!ins)
		return false;
	ins->d = d;
	ins->q = q;
	ins->a = a;
	ins->guard = members;
	ins->op = any ? MATCH_ANY : MATCH_ALL;
	ins->wide = lower_type_wide(type) ? WIDE_A : 0;
	ins->flags = EXCHANGE_SYNC;
	return true;
}

static bool lower_redux(struct lower *lower)
{
	static const struct {
		const char *name;
		uint8_t is_unsigned, is_signed;
	} operations[] = {
		{"add", REDUCE_ADD, REDUCE_ADD},     {"min", REDUCE_MIN_U, REDUCE_MIN_S},
		{"max", REDUCE_MAX_U, REDUCE_MAX_S}, {"and", REDUCE_AND, REDUCE_AND},
		{"or", REDUCE_OR, REDUCE_OR},	     {"xor", REDUCE_XOR, REDUCE_XOR},
	};
	unsigned operation = 0;
	uint32_t d, a, members;

	if (!lower_take(lower, "sync"))
		return lower_unsupported(lower);
	while (operation < 6 && !lower_take(lower, operations[operation].name))
		operation++;
	enum ptx_type type = lower_take_type(lower);

	if (operation == 6 || (type != PTX_U32 && type != PTX_S32 && type != PTX_B32))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 3, 3) || !lower_destination(lower, lower_operand(lower, 0), false, &d) ||
	    !lower_source(lower, lower_operand(lower, 1), type, &a) || !members_read(lower, true, &members))
		return false;
	struct instruction *ins = lower_emit(lower, exchange_reduce);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->guard = members;
	ins->op = type == PTX_S32 ? operations[operation].is_signed : operations[operation].is_unsigned;
	ins->flags = EXCHANGE_SYNC;
	return true;
}

static bool lower_elect(struct lower *lower)
{
	uint32_t d, q, members;

	if (!lower_take(lower, "sync") || !lower_operand_count(lower, 2, 2) || !destinations_read(lower, &d, &q) ||
	    !members_read(lower, true, &members))
		return lower_unsupported(lower);
	struct instruction *ins = lower_emit(lower, exchange_elect);

	if (!ins)
		return false;
	ins->d = d;
	ins->q = q;
	ins->guard = members;
	ins->flags = EXCHANGE_SYNC;
	return true;
}

static bool lower_activemask(struct lower *lower)
{
	uint32_t d;

	if (lower_take_type(lower) != PTX_B32 || !lower_operand_count(lower, 1, 1) ||
	    !lower_destination(lower, lower_operand(lower, 0), false, &d))
		return lower_unsupported(lower);
	struct instruction *ins = lower_emit(lower, exchange_activemask);

	if (!ins)
		return false;
	ins->d = d;
	return true;
}

const struct lower_entry lower_exchange_opcodes[] = {
	{"shfl", lower_shfl, true},   {"vote", lower_vote, true},   {"match", lower_match, true},
	{"redux", lower_redux, true}, {"elect", lower_elect, true}, {"activemask", lower_activemask, true},
	{NULL, NULL, false},
};
