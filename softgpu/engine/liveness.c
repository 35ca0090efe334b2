/* SPDX-License-Identifier: Apache-2.0 */
#include "liveness.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* Beyond this every register gets a place of its own. */
	SETS_BYTES_MAX = 64 * 1024 * 1024,
	/*
	 * The same beyond so many words and labels looked at: a text may be made so that each pass over its
	 * blocks changes one of them only. Compilers' output takes a handful of passes.
	 */
	STEPS_MAX = 1 << 27,
	LABEL_STEPS = 64,
};

struct flow_block {
	uint32_t first, last; /* statements, both included */
	uint32_t successor;   /* the block behind, UINT32_MAX: control never falls through */
	const struct ptx_statement *jump;
};

struct liveness {
	struct ptx_function *function;
	struct live_interval *intervals;
	struct flow_block *blocks;
	uint32_t block_count;
	uint32_t *block_at; /* of each statement */
	size_t words;	    /* of 64 bits, in a set of registers */
	uint64_t *in, *use, *define;
	uint64_t *steps;
};

static bool opcode_is(const struct ptx_statement *statement, const char *const *names)
{
	for (; *names; names++)
		if (token_is(&statement->opcode, *names))
			return true;
	return false;
}

static bool writes_first_operand(const struct ptx_statement *statement)
{
	static const char *const readers[] = {"st",	 "red",	   "bra",   "brx",	     "call",	  "ret",
					      "exit",	 "trap",   "cp",    "prefetch",	     "prefetchu", "nanosleep",
					      "discard", "membar", "fence", "applypriority", NULL};
	static const char *const barriers[] = {"bar", "barrier", NULL};

	if (opcode_is(statement, barriers)) {
		for (uint32_t i = 0; i < statement->modifier_count; i++)
			if (token_is(&statement->modifiers[i], "red"))
				return true;
		return false;
	}
	/* What begins with an address only reads registers: wmma.store. */
	return !opcode_is(statement, readers) && !(statement->operand_count && statement->operands[0].is_address);
}

static bool ends_block(const struct ptx_statement *statement)
{
	static const char *const jumps[] = {"bra", "brx", "ret", "exit", "trap", NULL};

	return !statement->label && opcode_is(statement, jumps);
}

typedef void (*register_visit)(struct liveness *liveness, uint32_t block, uint32_t statement, struct ptx_register *reg,
			       bool written);

static void operand_visit(struct liveness *liveness, uint32_t block, uint32_t statement,
			  const struct ptx_operand *operand, bool written, register_visit visit)
{
	if (operand->reg)
		visit(liveness, block, statement, operand->reg, written && !operand->is_address);
	if (operand->second)
		visit(liveness, block, statement, operand->second, written);
	for (uint32_t i = 0; i < operand->element_count; i++)
		operand_visit(liveness, block, statement, &operand->elements[i], written, visit);
}

/* Reads first, then writes: a result may take the place of a source. */
static void statement_visit(struct liveness *liveness, uint32_t block, uint32_t index, register_visit visit)
{
	const struct ptx_statement *statement = &liveness->function->statements[index];

	if (statement->label)
		return;
	bool writes = writes_first_operand(statement);

	if (statement->guard)
		visit(liveness, block, index, statement->guard, false);
	for (uint32_t i = writes ? 1 : 0; i < statement->operand_count; i++)
		operand_visit(liveness, block, index, &statement->operands[i], false, visit);
	if (!writes || !statement->operand_count)
		return;
	/* A guarded write leaves the old value where the guard is false. */
	operand_visit(liveness, block, index, &statement->operands[0], !statement->guard, visit);
}

static void block_sets_visit(struct liveness *liveness, uint32_t block, uint32_t statement, struct ptx_register *reg,
			     bool written)
{
	uint64_t bit = UINT64_C(1) << (reg->index % 64);
	size_t word = block * liveness->words + reg->index / 64;

	(void)statement;
	if (written)
		liveness->define[word] |= bit;
	else if (!(liveness->define[word] & bit))
		liveness->use[word] |= bit;
}

static void interval_extend(struct live_interval *interval, uint32_t start, uint32_t end)
{
	if (start < interval->start)
		interval->start = start;
	if (end > interval->end)
		interval->end = end;
}

static void interval_visit(struct liveness *liveness, uint32_t block, uint32_t statement, struct ptx_register *reg,
			   bool written)
{
	(void)block;
	(void)written;
	interval_extend(&liveness->intervals[reg->index], statement, statement);
}

static bool blocks_find(struct liveness *liveness)
{
	const struct ptx_function *function = liveness->function;

	liveness->blocks = calloc((size_t)function->statement_count + 1, sizeof(*liveness->blocks));
	liveness->block_at = calloc((size_t)function->statement_count + 1, sizeof(*liveness->block_at));
	if (!liveness->blocks || !liveness->block_at)
		return false;
	for (uint32_t i = 0; i < function->statement_count; i++) {
		const struct ptx_statement *statement = &function->statements[i];
		bool starts = i == 0 || statement->label || ends_block(statement - 1);

		if (starts)
			liveness->blocks[liveness->block_count++].first = i;
		struct flow_block *block = &liveness->blocks[liveness->block_count - 1];

		block->last = i;
		block->successor = liveness->block_count;
		block->jump = ends_block(statement) ? statement : NULL;
		if (block->jump && !statement->guard)
			block->successor = UINT32_MAX;
		liveness->block_at[i] = liveness->block_count - 1;
	}
	if (liveness->block_count)
		liveness->block_at[function->statement_count] = UINT32_MAX;
	return true;
}

/* Adds what is alive at the label to the set. */
static void label_union(const struct liveness *liveness, const struct ptx_statement *jump, const struct token *name,
			uint64_t *set)
{
	const struct ptx_symbol *symbol =
		ptx_symbol_find(liveness->function->unit, jump->scope, name->text, name->length);

	*liveness->steps += LABEL_STEPS + liveness->words;
	/* An unknown label is the lowering's error to report. */
	if (!symbol || symbol->kind != SYMBOL_LABEL || symbol->label->statement == 0)
		return;
	const uint64_t *in = liveness->in + liveness->block_at[symbol->label->statement - 1] * liveness->words;

	for (size_t w = 0; w < liveness->words; w++)
		set[w] |= in[w];
}

static void block_out(const struct liveness *liveness, const struct flow_block *block, uint64_t *set)
{
	const struct ptx_statement *jump = block->jump;

	*liveness->steps += LABEL_STEPS + liveness->words;
	memset(set, 0, liveness->words * sizeof(*set));
	if (block->successor < liveness->block_count)
		memcpy(set, liveness->in + block->successor * liveness->words, liveness->words * sizeof(*set));
	if (!jump)
		return;
	if (token_is(&jump->opcode, "bra") && jump->operand_count == 1) {
		label_union(liveness, jump, &jump->operands[0].name, set);
	} else if (token_is(&jump->opcode, "brx") && jump->operand_count == 2) {
		const struct token *list = &jump->operands[1].name;
		const struct ptx_symbol *symbol =
			ptx_symbol_find(liveness->function->unit, jump->scope, list->text, list->length);

		for (uint32_t i = 0; symbol && symbol->kind == SYMBOL_TARGETS && i < symbol->targets->count &&
				     *liveness->steps < STEPS_MAX;
		     i++)
			label_union(liveness, jump, &symbol->targets->names[i], set);
	}
}

/* false: it takes too long. */
static bool sets_solve(const struct liveness *liveness, uint64_t *out)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (uint32_t b = liveness->block_count; b-- > 0;) {
			if (*liveness->steps >= STEPS_MAX)
				return false;
			size_t base = b * liveness->words;

			block_out(liveness, &liveness->blocks[b], out);
			for (size_t w = 0; w < liveness->words; w++) {
				uint64_t in = liveness->use[base + w] | (out[w] & ~liveness->define[base + w]);

				changed |= in != liveness->in[base + w];
				liveness->in[base + w] = in;
			}
		}
	}
	/* The intervals look at every block once more, all of its labels included. */
	bool solved = *liveness->steps < STEPS_MAX;

	*liveness->steps = 0;
	return solved;
}

static void set_extend(struct liveness *liveness, const uint64_t *set, uint32_t start, uint32_t end)
{
	for (size_t w = 0; w < liveness->words; w++) {
		for (uint64_t rest = set[w]; rest; rest &= rest - 1) {
			size_t index = w * 64 + (size_t)__builtin_ctzll(rest);

			interval_extend(&liveness->intervals[index], start, end);
		}
	}
}

static void intervals_whole(struct liveness *liveness)
{
	for (uint32_t i = 0; i < liveness->function->register_count; i++) {
		liveness->intervals[i].start = 0;
		liveness->intervals[i].end = liveness->function->statement_count;
	}
}

static bool intervals_build(struct liveness *liveness)
{
	size_t set_words = liveness->block_count * liveness->words;
	uint64_t *out = calloc(liveness->words + 1, sizeof(*out));
	uint64_t *in = calloc(set_words + 1, sizeof(*in));
	uint64_t *use = calloc(set_words + 1, sizeof(*use));
	uint64_t *define = calloc(set_words + 1, sizeof(*define));
	bool built = out && in && use && define;

	liveness->in = in;
	liveness->use = use;
	liveness->define = define;
	for (uint32_t b = 0; built && b < liveness->block_count; b++)
		for (uint32_t i = liveness->blocks[b].first; i <= liveness->blocks[b].last; i++)
			statement_visit(liveness, b, i, block_sets_visit);
	bool solved = built && sets_solve(liveness, out);

	if (built && !solved)
		intervals_whole(liveness);
	for (uint32_t b = 0; solved && b < liveness->block_count; b++) {
		const struct flow_block *block = &liveness->blocks[b];

		set_extend(liveness, liveness->in + b * liveness->words, block->first, block->first);
		block_out(liveness, block, out);
		/* Alive behind the last statement. */
		set_extend(liveness, out, block->last, block->last + 1);
		for (uint32_t i = block->first; i <= block->last; i++)
			statement_visit(liveness, b, i, interval_visit);
	}
	free(out);
	free(in);
	free(use);
	free(define);
	return built;
}

bool liveness_compute(struct ptx_function *function, struct live_interval *intervals)
{
	uint64_t steps = 0;
	struct liveness liveness = {
		.steps = &steps,
		.function = function,
		.intervals = intervals,
		.words = (function->register_count + 63u) / 64,
	};
	bool computed = blocks_find(&liveness);

	for (uint32_t i = 0; i < function->register_count; i++) {
		intervals[i].reg = function->registers[i];
		intervals[i].start = UINT32_MAX;
		intervals[i].end = 0;
	}
	if (computed && (uint64_t)liveness.block_count * liveness.words * 3 * sizeof(uint64_t) <= SETS_BYTES_MAX) {
		computed = intervals_build(&liveness);
	} else {
		intervals_whole(&liveness);
	}
	for (uint32_t i = 0; i < function->register_count; i++)
		if (intervals[i].start == UINT32_MAX)
			intervals[i].start = 0;
	free(liveness.blocks);
	free(liveness.block_at);
	return computed;
}
