/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "matrix.h"

/* The registers of a fragment, all of 32 bits. */
static bool fragment_read(struct lower *lower, const struct ptx_operand *operand, bool destination, uint32_t *offsets,
			  uint8_t *ret_count)
{
	const struct ptx_operand *elements = operand->kind == OPERAND_VECTOR ? operand->elements : operand;
	uint32_t count = operand->kind == OPERAND_VECTOR ? operand->element_count : 1;

	for (uint32_t i = 0; i < count; i++)
		if (destination ? !lower_destination(lower, &elements[i], false, &offsets[i])
				: !lower_source(lower, &elements[i], PTX_B32, &offsets[i]))
			return false;
	*ret_count = (uint8_t)count;
	return true;
}

static struct matrix_operands *operands_create(struct lower *lower)
{
	struct matrix_operands *m = pool_allocate(lower->pool, sizeof(*m));

	if (!m)
		lower_no_memory(lower);
	return m;
}

static unsigned fragment_registers(unsigned type, unsigned elements)
{
	return elements * ptx_type_bytes((enum ptx_type)type) / 4;
}

static bool shape_fits(const struct matrix_operands *m, unsigned depth)
{
	bool half = m->a_type == PTX_F16 || m->a_type == PTX_BF16, bytes = m->a_type == PTX_S8 || m->a_type == PTX_U8;

	if (half && (m->b_type != m->a_type || (depth != 8 && depth != 16)))
		return false;
	if (m->a_type == PTX_TF32 && (m->b_type != PTX_TF32 || (depth != 4 && depth != 8)))
		return false;
	if (bytes && ((m->b_type != PTX_S8 && m->b_type != PTX_U8) || (depth != 16 && depth != 32)))
		return false;
	if (!half && !bytes && m->a_type != PTX_TF32)
		return false;
	if (bytes ? m->c_type != PTX_S32 || m->d_type != PTX_S32
		  : (m->c_type != PTX_F32 && (m->c_type != PTX_F16 || m->a_type != PTX_F16)) ||
			    (m->d_type != PTX_F32 && (m->d_type != PTX_F16 || m->a_type != PTX_F16)))
		return false;
	return m->a_registers == fragment_registers(m->a_type, 16 * depth / 32) &&
	       m->b_registers == fragment_registers(m->b_type, 8 * depth / 32) &&
	       m->c_registers == fragment_registers(m->c_type, 4) && m->d_registers == fragment_registers(m->d_type, 4);
}

static bool fragments_read(struct lower *lower, struct matrix_operands *m)
{
	return lower_operand_count(lower, 4, 4) &&
	       fragment_read(lower, lower_operand(lower, 0), true, m->d, &m->d_registers) &&
	       fragment_read(lower, lower_operand(lower, 1), false, m->a, &m->a_registers) &&
	       fragment_read(lower, lower_operand(lower, 2), false, m->b, &m->b_registers) &&
	       fragment_read(lower, lower_operand(lower, 3), false, m->c, &m->c_registers);
}

static bool lower_mma(struct lower *lower)
{
	static const struct {
		const char *name;
		unsigned depth;
	} shapes[] = {{"m16n8k4", 4}, {"m16n8k8", 8}, {"m16n8k16", 16}, {"m16n8k32", 32}};
	struct matrix_operands *m = operands_create(lower);
	unsigned shape = 0;

	if (!m || !lower_take(lower, "sync") || !lower_take(lower, "aligned"))
		return lower_unsupported(lower);
	while (shape < 4 && !lower_take(lower, shapes[shape].name))
		shape++;
	if (shape == 4 || !lower_take(lower, "row") || !lower_take(lower, "col"))
		return lower_unsupported(lower);
	m->d_type = (uint8_t)lower_take_type(lower);
	m->a_type = (uint8_t)lower_take_type(lower);
	m->b_type = (uint8_t)lower_take_type(lower);
	m->c_type = (uint8_t)lower_take_type(lower);
	if (!fragments_read(lower, m))
		return false;
	if (!shape_fits(m, shapes[shape].depth))
		return lower_unsupported(lower);
	struct instruction *ins = lower_emit(lower, matrix_multiply);

	if (!ins)
		return false;
	ins->extra = m;
	return true;
}

static bool lower_ldmatrix(struct lower *lower)
{
	struct matrix_operands *m = operands_create(lower);
	struct lower_address address = {0};
	unsigned count;

	if (!m || !lower_take(lower, "sync") || !lower_take(lower, "aligned") || !lower_take(lower, "m8n8"))
		return lower_unsupported(lower);
	count = lower_take(lower, "x1") ? 1 : lower_take(lower, "x2") ? 2 : lower_take(lower, "x4") ? 4 : 0;
	bool transposed = lower_take(lower, "trans");
	enum ptx_space space = lower_take_space(lower);

	if (!count || lower_take_type(lower) != PTX_B16 || (space != SPACE_SHARED && space != SPACE_GENERIC))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 2, 2) ||
	    !fragment_read(lower, lower_operand(lower, 0), true, m->d, &m->d_registers) ||
	    !lower_address(lower, lower_operand(lower, 1), space, &address))
		return false;
	if (m->d_registers != count)
		return lower_invalid(lower, "a wrong number of registers");
	struct instruction *ins = lower_emit(lower, matrix_load);

	if (!ins)
		return false;
	ins->extra = m;
	ins->a = address.base;
	ins->immediate = address.immediate;
	ins->wide = address.wide ? WIDE_ADDRESS : 0;
	ins->space = (uint8_t)address.space;
	ins->op = transposed;
	ins->count = (uint8_t)count;
	return true;
}

/* Registers of a 16 by 16 fragment; those of A and B of f16 come twice as many (PTX ISA). */
static unsigned wmma_registers(enum ptx_type type, bool factor)
{
	return type == PTX_F32 || (type == PTX_F16 && factor) ? 8 : 4;
}

static bool wmma_type_fits(enum ptx_type type, bool factor)
{
	return type == PTX_F16 || (factor ? type == PTX_BF16 : type == PTX_F32);
}

static bool lower_wmma_memory(struct lower *lower, bool store)
{
	struct matrix_operands *m = operands_create(lower);
	struct lower_address address = {0};
	bool factor = !store && (lower_take(lower, "a") || lower_take(lower, "b"));
	bool accumulator = lower_take(lower, store ? "d" : "c");

	if (!m || factor == accumulator || !lower_take(lower, "sync") || !lower_take(lower, "aligned"))
		return lower_unsupported(lower);
	bool row = lower_take(lower, "row"), column = lower_take(lower, "col");

	if (row == column || !lower_take(lower, "m16n16k16"))
		return lower_unsupported(lower);
	enum ptx_space space = lower_take_space(lower);
	enum ptx_type type = lower_take_type(lower);
	const struct ptx_operand *fragment, *where;

	if (!wmma_type_fits(type, factor))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 2, 3))
		return false;
	fragment = lower_operand(lower, store ? 1 : 0);
	where = lower_operand(lower, store ? 0 : 1);
	if (!fragment_read(lower, fragment, !store, m->d, &m->d_registers) ||
	    !lower_address(lower, where, space, &address))
		return false;
	if (lower->statement->operand_count == 3 ? !lower_source(lower, lower_operand(lower, 2), PTX_U32, &m->stride)
						 : !lower_constant(lower, 16, false, &m->stride))
		return false;
	if (m->d_registers != wmma_registers(type, factor) || address.is_kernel_parameter)
		return lower_invalid(lower, "a wrong number of registers");
	struct instruction *ins = lower_emit(lower, store ? matrix_wmma_store : matrix_wmma_load);

	if (!ins)
		return false;
	ins->extra = m;
	ins->a = address.base;
	ins->immediate = address.immediate;
	ins->wide = address.wide ? WIDE_ADDRESS : 0;
	ins->space = (uint8_t)address.space;
	ins->op = column;
	ins->type = (uint8_t)type;
	ins->count = m->d_registers;
	return true;
}

static bool lower_wmma_multiply(struct lower *lower)
{
	struct matrix_operands *m = operands_create(lower);

	if (!m || !lower_take(lower, "sync") || !lower_take(lower, "aligned"))
		return lower_unsupported(lower);
	/* The layouts of A and B in memory were dealt with when they were loaded. */
	for (unsigned i = 0; i < 2; i++)
		if (!lower_take(lower, "row") && !lower_take(lower, "col"))
			return lower_unsupported(lower);
	if (!lower_take(lower, "m16n16k16"))
		return lower_unsupported(lower);
	enum ptx_type types[4];
	unsigned count = 0;

	while (count < 4 && (types[count] = lower_take_type(lower)) != PTX_NONE)
		count++;
	/* d and c; with types of A and B between them where these are not f16. */
	if (count != 2 && count != 4)
		return lower_unsupported(lower);
	m->d_type = (uint8_t)types[0];
	m->c_type = (uint8_t)types[count - 1];
	m->a_type = m->b_type = (uint8_t)(count == 4 ? types[1] : PTX_F16);
	if (!wmma_type_fits((enum ptx_type)m->d_type, false) || !wmma_type_fits((enum ptx_type)m->c_type, false) ||
	    !wmma_type_fits((enum ptx_type)m->a_type, true))
		return lower_unsupported(lower);
	if (!fragments_read(lower, m))
		return false;
	if (m->d_registers != wmma_registers((enum ptx_type)m->d_type, false) ||
	    m->c_registers != wmma_registers((enum ptx_type)m->c_type, false) ||
	    m->a_registers != wmma_registers((enum ptx_type)m->a_type, true) || m->b_registers != m->a_registers)
		return lower_invalid(lower, "a wrong number of registers");
	struct instruction *ins = lower_emit(lower, matrix_wmma_multiply);

	if (!ins)
		return false;
	ins->extra = m;
	return true;
}

static bool lower_wmma(struct lower *lower)
{
	if (lower_take(lower, "load"))
		return lower_wmma_memory(lower, false);
	if (lower_take(lower, "store"))
		return lower_wmma_memory(lower, true);
	return lower_take(lower, "mma") ? lower_wmma_multiply(lower) : lower_unsupported(lower);
}

const struct lower_entry lower_matrix_opcodes[] = {
	{"mma", lower_mma, true},
	{"ldmatrix", lower_ldmatrix, true},
	{"wmma", lower_wmma, true},
	{NULL, NULL, false},
};
