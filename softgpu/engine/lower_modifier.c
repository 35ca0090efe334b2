/* SPDX-License-Identifier: Apache-2.0 */
/* What an instruction says behind its opcode: modifiers, and the number of its operands. */
#include "lower.h"

bool lower_take(struct lower *lower, const char *name)
{
	const struct ptx_statement *statement = lower->statement;

	for (uint32_t i = 0; i < statement->modifier_count; i++) {
		if (lower->modifiers_taken >> i & 1 || !token_is(&statement->modifiers[i], name))
			continue;
		lower->modifiers_taken |= 1u << i;
		return true;
	}
	return false;
}

enum ptx_type lower_take_type(struct lower *lower)
{
	const struct ptx_statement *statement = lower->statement;

	for (uint32_t i = 0; i < statement->modifier_count; i++) {
		const struct token *modifier = &statement->modifiers[i];
		enum ptx_type type;

		if (lower->modifiers_taken >> i & 1)
			continue;
		type = ptx_type_find(modifier->text, modifier->length);
		if (!type)
			continue;
		lower->modifiers_taken |= 1u << i;
		return type;
	}
	return PTX_NONE;
}

enum ptx_space lower_take_space(struct lower *lower)
{
	if (lower_take(lower, "global"))
		return SPACE_GLOBAL;
	if (lower_take(lower, "shared") || lower_take(lower, "shared::cta"))
		return SPACE_SHARED;
	if (lower_take(lower, "local"))
		return SPACE_LOCAL;
	if (lower_take(lower, "const"))
		return SPACE_CONST;
	if (lower_take(lower, "param") || lower_take(lower, "param::entry") || lower_take(lower, "param::func"))
		return SPACE_PARAM;
	return SPACE_GENERIC;
}

/* What concerns caches and ordering: accesses here are always coherent and in order for their lane. */
bool lower_take_memory_hints(struct lower *lower)
{
	bool polls = false;

	static const char *const hints[] = {
		"volatile",
		"relaxed",
		"acquire",
		"release",
		"acq_rel",
		"weak",
		"mmio",
		"cta",
		"cluster",
		"gpu",
		"sys",
		"ca",
		"cg",
		"cs",
		"lu",
		"cv",
		"wb",
		"wt",
		"nc",
		"L1::evict_normal",
		"L1::evict_unchanged",
		"L1::evict_first",
		"L1::evict_last",
		"L1::no_allocate",
		"L2::64B",
		"L2::128B",
		"L2::256B",
		"L2::evict_first",
		"L2::evict_last",
		"L2::evict_normal",
	};

	/* The first three are what loops use that wait for someone. */
	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++)
		polls |= lower_take(lower, hints[i]) && i < 3;
	return polls;
}

bool lower_operand_count(struct lower *lower, uint32_t least, uint32_t most)
{
	uint32_t count = lower->statement->operand_count;

	return (count >= least && count <= most) || lower_invalid(lower, "a wrong number of operands");
}
