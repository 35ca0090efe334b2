/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lowering: from the parse tree of a function to its predecoded instructions.
 *
 * Each opcode has a lowering function, which takes the modifiers it knows
 * (lower_take) and emits instructions; a modifier that nobody took makes the
 * instruction unsupported, so that none is silently ignored.
 */
#ifndef SOFTGPU_LOWER_H
#define SOFTGPU_LOWER_H

#include "control.h"
#include "exec.h"
#include "module.h"

struct lower_constant {
	uint64_t bits;
	uint32_t offset;
	bool wide;
};

struct lower_fixup {
	uint32_t instruction;
	struct ptx_label *label; /* NULL: the code index below */
	uint32_t code;
};

struct lower_table_fixup {
	struct branch_table *table;
	uint32_t entry;
	struct ptx_label *label;
};

enum {
	LOWER_TEMPORARIES = 6,
	LOWER_CONSTANT_BUCKETS = 256,
	LOWER_FRAME_BYTES_MAX = 16 * 1024 * 1024, /* registers of one warp in one activation */
};

struct lower {
	struct engine_module *module;
	struct ptx_function *function;
	struct engine_function *code_function;
	struct load_error *error;
	struct pool *pool;
	const struct exec_table *table;
	const struct ptx_statement *statement;
	uint32_t modifiers_taken; /* one bit each */
	struct instruction *code;
	uint32_t code_count, code_capacity;
	struct lower_fixup *fixups;
	uint32_t fixup_count, fixup_capacity;
	struct lower_table_fixup *table_fixups;
	uint32_t table_fixup_count, table_fixup_capacity;
	struct lower_constant *constants;
	uint32_t constant_count, constant_capacity;
	struct frame_special *specials;
	uint32_t special_count, special_capacity;
	uint32_t frame_bytes;
	uint32_t shared_bytes;
	uint32_t local_bytes;
	uint32_t temporaries[LOWER_TEMPORARIES]; /* frame offsets, 0: not made yet */
	uint32_t temporaries_used;
	uint32_t temporary_predicate;
};

bool lower_function(struct engine_module *module, struct ptx_function *function, struct load_error *error);

/* Failures: all return false. */
bool lower_unsupported(struct lower *lower);
bool lower_invalid(struct lower *lower, const char *why);

bool lower_no_memory(struct lower *lower);

/* Room for one more element; the array is malloc'd memory of the caller's. */
bool lower_array_grow(struct lower *lower, void **array, uint32_t count, uint32_t *capacity, size_t element_bytes);

/* Modifiers. */
bool lower_take(struct lower *lower, const char *name);
enum ptx_type lower_take_type(struct lower *lower); /* the next type in the text's order; PTX_NONE: no more */
bool lower_operand_count(struct lower *lower, uint32_t least, uint32_t most);

/* Emits an instruction; NULL: out of memory, the error is set.  Valid until the next one. */
struct instruction *lower_emit(struct lower *lower, exec_handler run);
struct instruction *lower_emit_handler(struct lower *lower, enum handler handler);

/* Operands.  Each gives a frame offset; 'wide' says what the instruction needs. */
const struct ptx_operand *lower_operand(const struct lower *lower, uint32_t index);
bool lower_source(struct lower *lower, const struct ptx_operand *operand, enum ptx_type type, uint32_t *ret_offset);
bool lower_destination(struct lower *lower, const struct ptx_operand *operand, bool wide, uint32_t *ret_offset);
bool lower_predicate(struct lower *lower, const struct ptx_operand *operand, uint32_t *ret_offset, bool *ret_negated);
bool lower_predicate_destination(struct lower *lower, const struct ptx_operand *operand, uint32_t *ret_offset);
bool lower_constant(struct lower *lower, uint64_t bits, bool wide, uint32_t *ret_offset);
bool lower_special(struct lower *lower, unsigned special, uint32_t *ret_offset);
bool lower_temporary_predicate(struct lower *lower, uint32_t *ret_offset);
bool lower_register_wide(const struct ptx_register *reg);

struct lower_address {
	uint32_t base;
	bool wide;
	uint64_t immediate;
	enum ptx_space space; /* the operand's own space may narrow the instruction's */
	bool is_kernel_parameter;
	bool is_constant; /* a kernel parameter at a known offset */
};
bool lower_address(struct lower *lower, const struct ptx_operand *operand, enum ptx_space space,
		   struct lower_address *ret_address);
bool lower_variable_address(struct lower *lower, struct ptx_variable *variable, struct lower_address *ret_address);

/* Gives a .shared variable its place in the kernel's shared memory, once. */
bool lower_shared_place(struct lower *lower, struct ptx_variable *variable);

bool lower_label_find(struct lower *lower, const struct ptx_operand *operand, struct ptx_label **ret_label);
bool lower_fixup_add(struct lower *lower, uint32_t instruction, struct ptx_label *label, uint32_t code);
bool lower_table_fixup_add(struct lower *lower, struct branch_table *table, uint32_t entry, struct ptx_label *label);
enum ptx_space lower_take_space(struct lower *lower);
bool lower_take_memory_hints(struct lower *lower); /* true for volatile, relaxed and acquire */

bool lower_type_wide(enum ptx_type type);

typedef bool (*lower_opcode)(struct lower *lower);

struct lower_entry {
	const char *name;
	lower_opcode lower;
	bool is_control; /* a guard becomes a branch around it */
};

/* Each family's opcodes, ended by a NULL name. */
extern const struct lower_entry lower_integer_opcodes[], lower_bits_opcodes[], lower_float_opcodes[],
	lower_memory_opcodes[], lower_control_opcodes[], lower_compare_opcodes[], lower_convert_opcodes[],
	lower_exchange_opcodes[], lower_matrix_opcodes[], lower_texture_opcodes[], lower_video_opcodes[];

/* Scalar helpers shared by families: d = function(a, b, c) for each lane. */
bool lower_scalar(struct lower *lower, scalar_function function, enum ptx_type result, const enum ptx_type *sources,
		  unsigned source_count, struct instruction **ret_instruction);

#endif
