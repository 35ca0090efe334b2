/* SPDX-License-Identifier: Apache-2.0 */
/* setp, set, selp and slct. */
#include "lower.h"
#include "compare.h"
#include "lower_families.h"
#include "scalar.h"

#include <string.h>

/* A comparison as one of the handlers' with operands swapped or the result inverted. */
struct comparison {
	const char *name;
	uint8_t base; /* enum compare_base */
	bool swapped, inverted;
	bool float_only, unsigned_only;
};

enum compare_base {
	COMPARE_EQ,
	COMPARE_LT,
	COMPARE_LE,
	COMPARE_NE,
	COMPARE_NUM,
};

static const struct comparison comparisons[] = {
	{"eq", COMPARE_EQ, false, false, false, false},	 {"ne", COMPARE_NE, false, false, false, false},
	{"lt", COMPARE_LT, false, false, false, false},	 {"le", COMPARE_LE, false, false, false, false},
	{"gt", COMPARE_LT, true, false, false, false},	 {"ge", COMPARE_LE, true, false, false, false},
	{"lo", COMPARE_LT, false, false, false, true},	 {"ls", COMPARE_LE, false, false, false, true},
	{"hi", COMPARE_LT, true, false, false, true},	 {"hs", COMPARE_LE, true, false, false, true},
	{"equ", COMPARE_NE, false, true, true, false},	 {"neu", COMPARE_EQ, false, true, true, false},
	{"ltu", COMPARE_LE, true, true, true, false},	 {"leu", COMPARE_LT, true, true, true, false},
	{"gtu", COMPARE_LE, false, true, true, false},	 {"geu", COMPARE_LT, false, true, true, false},
	{"num", COMPARE_NUM, false, false, true, false}, {"nan", COMPARE_NUM, false, true, true, false},
};

static const struct comparison *comparison_take(struct lower *lower)
{
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++)
		if (lower_take(lower, comparisons[i].name))
			return &comparisons[i];
	return NULL;
}

static bool handler_find(enum ptx_type type, unsigned base, bool ftz, enum handler *ret_handler)
{
	static const enum handler float32[] = {HANDLER_eq_f32, HANDLER_lt_f32, HANDLER_le_f32, HANDLER_ne_f32,
					       HANDLER_num_f32};
	static const enum handler flushed[] = {HANDLER_eq_ftz_f32, HANDLER_lt_ftz_f32, HANDLER_le_ftz_f32,
					       HANDLER_ne_ftz_f32, HANDLER_num_f32};
	static const enum handler float64[] = {HANDLER_eq_f64, HANDLER_lt_f64, HANDLER_le_f64, HANDLER_ne_f64,
					       HANDLER_num_f64};
	static const enum handler unsigned16[] = {HANDLER_eq_b16, HANDLER_lt_u16, HANDLER_le_u16};
	static const enum handler signed16[] = {HANDLER_eq_b16, HANDLER_lt_s16, HANDLER_le_s16};
	static const enum handler unsigned32[] = {HANDLER_eq_b32, HANDLER_lt_u32, HANDLER_le_u32};
	static const enum handler signed32[] = {HANDLER_eq_b32, HANDLER_lt_s32, HANDLER_le_s32};
	static const enum handler unsigned64[] = {HANDLER_eq_b64, HANDLER_lt_u64, HANDLER_le_u64};
	static const enum handler signed64[] = {HANDLER_eq_b64, HANDLER_lt_s64, HANDLER_le_s64};
	const enum handler *row;

	switch (type) {
	case PTX_F32:
		row = ftz ? flushed : float32;
		break;
	case PTX_F64:
		row = float64;
		break;
	case PTX_B16:
	case PTX_U16:
		row = unsigned16;
		break;
	case PTX_S16:
		row = signed16;
		break;
	case PTX_B32:
	case PTX_U32:
		row = unsigned32;
		break;
	case PTX_S32:
		row = signed32;
		break;
	case PTX_B64:
	case PTX_U64:
		row = unsigned64;
		break;
	case PTX_S64:
		row = signed64;
		break;
	default:
		return false;
	}
	*ret_handler = row[base];
	return true;
}

static bool type_is_half(enum ptx_type type)
{
	return type == PTX_F16 || type == PTX_BF16 || type == PTX_F16X2 || type == PTX_BF16X2;
}

/* Emits the comparison of operands 1 and 2 into a predicate; the caller adds what combines. */
/* NULL: the error is set. */
static struct instruction *comparison_emit(struct lower *lower, const struct comparison *comparison, enum ptx_type type,
					   bool ftz, uint32_t d)
{
	enum handler handler = HANDLER_eq_b32;
	unsigned base = comparison->base;
	bool inverted = comparison->inverted, is_float = ptx_type_float(type) || type_is_half(type);
	uint32_t a, b;
	struct instruction *ins;

	/* Integers have no order that fails: not equal is the inverse of equal. */
	if (!is_float && base == COMPARE_NE) {
		base = COMPARE_EQ;
		inverted = !inverted;
	}
	if ((comparison->float_only && !is_float) ||
	    (comparison->unsigned_only && (is_float || ptx_type_signed(type)))) {
		lower_invalid(lower, "a comparison that the type does not have");
		return NULL;
	}
	if (!lower_source(lower, lower_operand(lower, 1), type, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), type, &b))
		return NULL;
	if (type_is_half(type)) {
		ins = lower_emit(lower, compare_half);
	} else {
		if (!handler_find(type, base, ftz, &handler)) {
			lower_unsupported(lower);
			return NULL;
		}
		ins = lower_emit_handler(lower, handler);
	}
	if (!ins)
		return NULL;
	ins->d = d;
	ins->a = comparison->swapped ? b : a;
	ins->b = comparison->swapped ? a : b;
	ins->op = (uint8_t)base;
	ins->type = (uint8_t)type;
	ins->flags = ftz ? FLOAT_FTZ : 0;
	ins->invert = inverted;
	return ins;
}

/* The predicate that .and, .or and .xor combine with, read before anything is emitted. */
static bool combination_read(struct lower *lower, unsigned *ret_combine, uint32_t *ret_offset, bool *ret_negated)
{
	*ret_combine = lower_take(lower, "and") ? 1 : lower_take(lower, "or") ? 2 : lower_take(lower, "xor") ? 3 : 0;
	*ret_offset = 0;
	*ret_negated = false;
	if (!lower_operand_count(lower, *ret_combine ? 4 : 3, *ret_combine ? 4 : 3))
		return false;
	return !*ret_combine || lower_predicate(lower, lower_operand(lower, 3), ret_offset, ret_negated);
}

static bool lower_setp(struct lower *lower)
{
	const struct comparison *comparison = comparison_take(lower);
	bool ftz = lower_take(lower, "ftz"), negated;
	unsigned combine;
	uint32_t c, d, q = 0;
	enum ptx_type type;
	struct instruction *ins;

	if (!comparison)
		return lower_unsupported(lower);
	if (!combination_read(lower, &combine, &c, &negated))
		return false;
	type = lower_take_type(lower);
	const struct ptx_operand *destination = lower_operand(lower, 0);

	if (!lower_predicate_destination(lower, destination, &d))
		return false;
	if (destination->second) {
		if (destination->second->type != PTX_PRED)
			return lower_invalid(lower, "expected a predicate");
		q = destination->second->offset;
	}
	ins = comparison_emit(lower, comparison, type, ftz, d);
	if (!ins)
		return false;
	ins->q = q;
	ins->combine = (uint8_t)combine;
	ins->c = c;
	ins->negate_c = negated;
	return true;
}

/* set into pairs of halves. */
static bool lower_half_set2(struct lower *lower, enum ptx_type d_type, enum ptx_type type, unsigned base, bool swapped,
			    bool inverted, bool ftz, unsigned combine)
{
	const enum ptx_type sources[] = {type, type};
	struct instruction *ins;

	if ((type != PTX_F16X2 && type != PTX_BF16X2) || ptx_type_bytes(d_type) != 4 || combine)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_half_compare2, d_type, sources, 2, &ins))
		return false;
	ins->op = (uint8_t)base;
	ins->type = (uint8_t)type;
	ins->type2 = (uint8_t)d_type;
	ins->flags = ftz ? FLOAT_FTZ : 0;
	ins->invert = inverted;
	ins->count = swapped;
	return true;
}

/* set: the predicate of setp as all ones or 1.0. */
static bool lower_set(struct lower *lower)
{
	const struct comparison *comparison = comparison_take(lower);
	bool ftz = lower_take(lower, "ftz"), negated;
	unsigned combine;
	uint32_t c, d, temporary, true_value, false_value;
	struct instruction *ins;

	if (!comparison)
		return lower_unsupported(lower);
	if (!combination_read(lower, &combine, &c, &negated))
		return false;
	enum ptx_type d_type = lower_take_type(lower), type = lower_take_type(lower);
	uint64_t one;

	switch (d_type) {
	case PTX_U32:
	case PTX_S32:
		one = UINT32_MAX;
		break;
	case PTX_F32:
		one = 0x3f800000;
		break;
	case PTX_F16:
		one = 0x3c00;
		break;
	case PTX_BF16:
		one = 0x3f80;
		break;
	case PTX_U16:
	case PTX_S16:
		one = 0xffff;
		break;
	default:
		return lower_half_set2(lower, d_type, type, comparison->base, comparison->swapped, comparison->inverted,
				       ftz, combine);
	}
	if (type == PTX_F16X2 || type == PTX_BF16X2)
		return lower_half_set2(lower, d_type, type, comparison->base, comparison->swapped, comparison->inverted,
				       ftz, combine);
	if (!lower_temporary_predicate(lower, &temporary) || !lower_constant(lower, one, false, &true_value) ||
	    !lower_constant(lower, 0, false, &false_value) ||
	    !lower_destination(lower, lower_operand(lower, 0), false, &d))
		return false;
	ins = comparison_emit(lower, comparison, type, ftz, temporary);
	if (!ins)
		return false;
	ins->combine = (uint8_t)combine;
	ins->c = c;
	ins->negate_c = negated;
	ins = lower_emit_handler(lower, HANDLER_selp_b32);
	if (!ins)
		return false;
	ins->d = d;
	ins->a = true_value;
	ins->b = false_value;
	ins->c = temporary;
	return true;
}

static bool lower_selp(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	uint32_t d, a, b, c;
	bool negated;

	if (ptx_type_bytes(type) < 2 || type == PTX_B128)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 4, 4) || !lower_source(lower, lower_operand(lower, 1), type, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), type, &b) ||
	    !lower_predicate(lower, lower_operand(lower, 3), &c, &negated) ||
	    !lower_destination(lower, lower_operand(lower, 0), lower_type_wide(type), &d))
		return false;
	struct instruction *ins =
		lower_emit_handler(lower, lower_type_wide(type) ? HANDLER_selp_b64 : HANDLER_selp_b32);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = b;
	ins->c = c;
	ins->negate_c = negated;
	return true;
}

static bool lower_slct(struct lower *lower)
{
	lower_take(lower, "ftz");
	enum ptx_type type = lower_take_type(lower), selector = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type, selector};
	struct instruction *ins;

	if (selector != PTX_S32 && selector != PTX_F32)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_slct, type, sources, 3, &ins))
		return false;
	ins->type2 = (uint8_t)selector;
	return true;
}

const struct lower_entry lower_compare_opcodes[] = {
	{"setp", lower_setp, false}, {"set", lower_set, false}, {"selp", lower_selp, false},
	{"slct", lower_slct, false}, {NULL, NULL, false},
};
