/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "lower_families.h"
#include "scalar.h"

struct conversion {
	enum ptx_type d, a;
	unsigned rounding;
	bool to_integer; /* .rni and its like */
	bool ftz, saturate, relu, finite;
};

static void rounding_take(struct lower *lower, struct conversion *conversion)
{
	static const struct {
		const char *name;
		unsigned rounding;
		bool to_integer;
	} modes[] = {
		{"rn", ROUND_NEAREST, false}, {"rz", ROUND_ZERO, false},    {"rm", ROUND_DOWN, false},
		{"rp", ROUND_UP, false},      {"rni", ROUND_NEAREST, true}, {"rzi", ROUND_ZERO, true},
		{"rmi", ROUND_DOWN, true},    {"rpi", ROUND_UP, true},	    {"rna", ROUND_NEAREST_AWAY, false},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (!lower_take(lower, modes[i].name))
			continue;
		conversion->rounding = modes[i].rounding;
		conversion->to_integer = modes[i].to_integer;
		return;
	}
}

/* Conversions of integers that only copy or extend bits. */
static bool integer_handler(const struct conversion *c, enum handler *ret_handler)
{
	unsigned from = ptx_type_bytes(c->a), to = ptx_type_bytes(c->d);
	unsigned kept = from < to ? from : to;
	bool is_signed = from < to ? ptx_type_signed(c->a) : ptx_type_signed(c->d);

	if (from == 8 && to == 8)
		*ret_handler = HANDLER_mov_b64;
	else if (to == 8 && from == 4)
		*ret_handler = ptx_type_signed(c->a) ? HANDLER_widen_s32 : HANDLER_widen_u32;
	else if (to == 8 && from == 2)
		*ret_handler = ptx_type_signed(c->a) ? HANDLER_widen_s16 : HANDLER_widen_u16;
	else if (to == 4 && from == 8)
		*ret_handler = HANDLER_narrow_b64;
	else if (to == 4 && from == 4)
		*ret_handler = HANDLER_mov_b32;
	else if (to <= 4 && from <= 4 && kept == 2)
		*ret_handler = is_signed ? HANDLER_extend_s16 : HANDLER_extend_u16;
	else if (to <= 4 && from <= 4 && kept == 1)
		*ret_handler = is_signed ? HANDLER_extend_s8 : HANDLER_extend_u8;
	else
		return false;
	return true;
}

static bool float_handler(const struct conversion *c, enum handler *ret_handler)
{
	static const enum handler to_integer32[] = {HANDLER_rint_f32, HANDLER_trunc_f32, HANDLER_floor_f32,
						    HANDLER_ceil_f32};
	static const enum handler to_integer64[] = {HANDLER_rint_f64, HANDLER_trunc_f64, HANDLER_floor_f64,
						    HANDLER_ceil_f64};
	static const struct {
		enum ptx_type d, a;
		unsigned rounding;
		bool to_integer;
		enum handler handler;
	} handlers[] = {
		{PTX_F32, PTX_S32, ROUND_NEAREST, false, HANDLER_f32_from_s32},
		{PTX_F32, PTX_U32, ROUND_NEAREST, false, HANDLER_f32_from_u32},
		{PTX_F64, PTX_S32, ROUND_NEAREST, false, HANDLER_f64_from_s32},
		{PTX_F64, PTX_U32, ROUND_NEAREST, false, HANDLER_f64_from_u32},
		{PTX_F64, PTX_F32, ROUND_NEAREST, false, HANDLER_f64_from_f32},
		{PTX_F32, PTX_F64, ROUND_NEAREST, false, HANDLER_f32_from_f64},
		{PTX_S32, PTX_F32, ROUND_ZERO, true, HANDLER_s32_from_f32},
		{PTX_U32, PTX_F32, ROUND_ZERO, true, HANDLER_u32_from_f32},
		{PTX_S32, PTX_F64, ROUND_ZERO, true, HANDLER_s32_from_f64},
		{PTX_F32, PTX_F16, ROUND_NEAREST, false, HANDLER_f32_from_f16},
		{PTX_F16, PTX_F32, ROUND_NEAREST, false, HANDLER_f16_from_f32},
		{PTX_F32, PTX_BF16, ROUND_NEAREST, false, HANDLER_f32_from_bf16},
		{PTX_BF16, PTX_F32, ROUND_NEAREST, false, HANDLER_bf16_from_f32},
	};

	if (c->ftz || c->relu || c->finite)
		return false;
	if (c->saturate) {
		*ret_handler = HANDLER_saturate_f32;
		return c->d == PTX_F32 && c->a == PTX_F32 && !c->to_integer;
	}
	if (c->d == c->a && c->to_integer && c->rounding <= ROUND_UP && (c->d == PTX_F32 || c->d == PTX_F64)) {
		*ret_handler = c->d == PTX_F32 ? to_integer32[c->rounding] : to_integer64[c->rounding];
		return true;
	}
	for (size_t i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
		if (handlers[i].d != c->d || handlers[i].a != c->a || handlers[i].rounding != c->rounding ||
		    handlers[i].to_integer != c->to_integer)
			continue;
		*ret_handler = handlers[i].handler;
		return true;
	}
	return false;
}

/* cvt's registers may be wider than its types: the lane's slot is what counts. */
static bool register_width(struct lower *lower, const struct ptx_operand *operand, enum ptx_type type, bool *ret_wide)
{
	*ret_wide = lower_type_wide(type);
	if (operand->kind != OPERAND_REGISTER)
		return true;
	if (operand->reg->type == PTX_PRED)
		return lower_invalid(lower, "a register of the wrong type");
	if (lower_register_wide(operand->reg) && !*ret_wide)
		*ret_wide = true;
	return true;
}

static bool lower_convert_pair(struct lower *lower, const struct conversion *conversion)
{
	const enum ptx_type sources[] = {PTX_F32, PTX_F32};
	struct instruction *ins;

	if (conversion->a != PTX_F32 || (conversion->rounding != ROUND_NEAREST && conversion->rounding != ROUND_ZERO))
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_convert_pack, conversion->d, sources, 2, &ins))
		return false;
	ins->type = conversion->d == PTX_F16X2 ? PTX_F16 : PTX_BF16;
	ins->type2 = PTX_F32;
	ins->rounding = (uint8_t)conversion->rounding;
	ins->flags = (conversion->relu ? FLOAT_RELU : 0) | (conversion->finite ? FLOAT_SAT : 0);
	return true;
}

static bool lower_cvt(struct lower *lower)
{
	struct conversion c = {.rounding = ROUND_NEAREST};
	enum handler handler;
	bool d_wide, a_wide;

	rounding_take(lower, &c);
	c.ftz = lower_take(lower, "ftz");
	c.saturate = lower_take(lower, "sat");
	c.relu = lower_take(lower, "relu");
	c.finite = lower_take(lower, "satfinite");
	c.d = lower_take_type(lower);
	c.a = lower_take_type(lower);
	if (!c.d || !c.a || c.d == PTX_PRED || c.a == PTX_PRED || c.a == PTX_F16X2 || c.a == PTX_BF16X2 ||
	    c.d == PTX_B128 || c.a == PTX_B128 || c.a == PTX_TF32)
		return lower_unsupported(lower);
	if (c.d == PTX_F16X2 || c.d == PTX_BF16X2)
		return lower_convert_pair(lower, &c);
	if (c.finite && c.d != PTX_TF32)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 2, 2) || !register_width(lower, lower_operand(lower, 0), c.d, &d_wide) ||
	    !register_width(lower, lower_operand(lower, 1), c.a, &a_wide))
		return false;
	bool floating = ptx_type_float(c.d) || ptx_type_float(c.a);
	bool plain = d_wide == lower_type_wide(c.d) && a_wide == lower_type_wide(c.a);

	if (plain && (floating ? float_handler(&c, &handler) : !c.saturate && integer_handler(&c, &handler)))
		return lower_emit_unary(lower, handler, c.d, c.a);
	uint32_t d, a;

	if (!lower_source(lower, lower_operand(lower, 1), a_wide && !lower_type_wide(c.a) ? PTX_B64 : c.a, &a) ||
	    !lower_destination(lower, lower_operand(lower, 0), d_wide, &d))
		return false;
	struct instruction *ins = lower_emit(lower, control_scalar);

	if (!ins)
		return false;
	ins->scalar = scalar_convert;
	ins->d = d;
	ins->a = a;
	ins->type = (uint8_t)c.d;
	ins->type2 = (uint8_t)c.a;
	ins->rounding = (uint8_t)c.rounding;
	ins->flags = (uint8_t)((c.to_integer ? CONVERT_INTEGER : 0) | (c.ftz ? FLOAT_FTZ : 0) |
			       (c.saturate ? FLOAT_SAT : 0) | (c.relu ? FLOAT_RELU : 0));
	ins->wide = (uint8_t)((d_wide ? WIDE_D : 0) | (a_wide ? WIDE_A : 0));
	return true;
}

const struct lower_entry lower_convert_opcodes[] = {
	{"cvt", lower_cvt, false},
	{NULL, NULL, false},
};
