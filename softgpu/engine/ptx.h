/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parse tree of PTX: what the parser makes and the lowering reads.  All of
 * it lives in the module's pool.
 */
#ifndef SOFTGPU_PTX_H
#define SOFTGPU_PTX_H

#include "engine.h"
#include "lexer.h"
#include "pool.h"

enum ptx_type {
	PTX_NONE,
	PTX_B8,
	PTX_B16,
	PTX_B32,
	PTX_B64,
	PTX_B128,
	PTX_U8,
	PTX_U16,
	PTX_U32,
	PTX_U64,
	PTX_S8,
	PTX_S16,
	PTX_S32,
	PTX_S64,
	PTX_F16,
	PTX_F16X2,
	PTX_BF16,
	PTX_BF16X2,
	PTX_F32,
	PTX_F64,
	PTX_TF32,
	PTX_PRED,
	PTX_TYPE_COUNT,
};

enum ptx_space {
	SPACE_GENERIC,
	SPACE_GLOBAL,
	SPACE_CONST,
	SPACE_SHARED,
	SPACE_LOCAL,
	SPACE_PARAM,
};

enum {
	PTX_MODIFIERS_MAX = 16,
	PTX_OPERANDS_MAX = 10,
	PTX_VECTOR_MAX = 8,
	PTX_CALL_ARGUMENTS_MAX = 256,
};

unsigned ptx_type_bytes(enum ptx_type type); /* 0 for PTX_NONE, PTX_PRED */
bool ptx_type_signed(enum ptx_type type);
bool ptx_type_float(enum ptx_type type); /* scalar floating types, f16 and bf16 included */
enum ptx_type ptx_type_find(const char *text, size_t length);

/* A virtual register; offset is where its 32 lanes lie in a frame, once allocated. */
struct ptx_register {
	enum ptx_type type;
	uint32_t index; /* dense within the function */
	uint32_t offset;
	const char *name;
};

struct ptx_function;
struct ptx_variable;

struct ptx_initialiser {
	struct ptx_initialiser *next;
	uint64_t offset;
	uint64_t bits; /* or the addend of a symbol's address */
	unsigned bytes;
	struct ptx_variable *variable;
	struct ptx_function *function;
};

/* .texref and .surfref: kernels name one by its address, as by a handle. */
enum ptx_reference {
	REFERENCE_NONE,
	REFERENCE_TEXTURE,
	REFERENCE_SURFACE,
};

struct ptx_variable {
	struct ptx_variable *next;
	const char *name;
	uint32_t line;
	enum ptx_space space;
	enum ptx_type type;
	uint64_t bytes; /* 0: extern array of unknown size */
	uint64_t alignment;
	bool is_extern, is_visible, is_weak;
	enum ptx_reference reference;
	bool is_bindable; /* a reference that kernels can find */
	bool is_managed;
	bool is_placed; /* at an address that was given with the texts */
	bool is_kernel_parameter;
	bool used_by_device_function; /* shared: placed where every kernel has it */
	struct ptx_function *owner;   /* NULL: module scope */
	struct ptx_initialiser *initialisers;
	struct ptx_variable *definition; /* where an extern was resolved to */
	uint64_t address; /* device address, or offset in the block's shared, the frame's local or the param space */
};

enum ptx_symbol_kind {
	SYMBOL_REGISTER,
	SYMBOL_REGISTER_RANGE,
	SYMBOL_VARIABLE,
	SYMBOL_FUNCTION,
	SYMBOL_LABEL,
	SYMBOL_PROTOTYPE,
	SYMBOL_TARGETS,
};

struct ptx_label {
	const char *name;
	bool defined;
	uint32_t statement; /* index of the statement that follows */
	uint32_t code;	    /* index of the lowered instruction */
};

struct ptx_targets {
	const struct token *names;
	uint32_t count;
};

struct ptx_prototype {
	uint32_t parameter_count;
	uint32_t parameter_bytes[PTX_CALL_ARGUMENTS_MAX];
	uint32_t return_bytes;
	bool has_return;
};

struct ptx_register_range {
	enum ptx_type type;
	uint32_t count;
	struct ptx_register **registers;
};

struct ptx_symbol {
	struct ptx_symbol *chain;
	const struct ptx_scope *scope;
	const char *name;
	size_t name_length;
	enum ptx_symbol_kind kind;
	union {
		struct ptx_register *reg;
		struct ptx_register_range *range;
		struct ptx_variable *variable;
		struct ptx_function *function;
		struct ptx_label *label;
		struct ptx_prototype *prototype;
		struct ptx_targets *targets;
	};
};

struct ptx_scope {
	struct ptx_scope *parent;
	struct ptx_function *function;
};

enum ptx_operand_kind {
	OPERAND_NONE,
	OPERAND_REGISTER,
	OPERAND_INTEGER,
	OPERAND_FLOAT32,
	OPERAND_FLOAT64,
	OPERAND_VARIABLE, /* plus value */
	OPERAND_FUNCTION,
	OPERAND_SPECIAL,
	OPERAND_NAME, /* a label, call target tables: resolved by the user of the operand */
	OPERAND_SINK, /* _ */
	OPERAND_VECTOR,
	OPERAND_LIST, /* parenthesised, of call */
};

struct ptx_operand {
	enum ptx_operand_kind kind;
	bool is_address; /* in brackets; elements are the coordinates of a texture or surface */
	bool negated;	 /* !p */
	struct ptx_register *reg;
	struct ptx_register *second; /* q of p|q */
	bool second_sink;
	uint64_t value; /* immediate bits, or offset to reg or variable */
	struct ptx_variable *variable;
	struct ptx_function *function;
	unsigned special;
	struct token name;
	struct ptx_operand *elements;
	uint32_t element_count;
};

struct ptx_statement {
	uint32_t line;
	struct ptx_scope *scope;
	struct ptx_register *guard;
	bool guard_negated;
	struct ptx_label *label; /* a label statement when set */
	struct token opcode;
	struct token modifiers[PTX_MODIFIERS_MAX];
	uint32_t modifier_count;
	struct ptx_operand *operands;
	uint32_t operand_count;
	const char *text;
	size_t text_length;
};

struct ptx_function {
	struct ptx_function *next;
	const char *name;
	uint32_t line;
	bool is_entry, is_extern, is_visible, is_weak, has_body;
	bool is_noreturn;
	struct ptx_variable **parameters;
	uint32_t parameter_count;
	struct ptx_variable *return_value;
	struct ptx_register **parameter_registers; /* .reg parameters, by index, where the text uses them */
	struct ptx_register *return_register;
	uint32_t max_threads, required_threads[3];
	struct ptx_variable *locals; /* .local, .shared and .param declared in the body */
	struct ptx_statement *statements;
	uint32_t statement_count, statement_capacity;
	struct ptx_register **registers;
	uint32_t register_count, register_capacity;
	struct ptx_function *definition;
	const struct ptx_unit *unit;
	struct engine_function *code;
	uint32_t call_target_index; /* as a function pointer's value */
};

enum {
	PTX_HASH_BUCKETS = 4096,
};

/* One PTX text. */
struct ptx_unit {
	struct pool *pool;
	uint32_t version, target_sm;
	struct ptx_scope scope;
	struct ptx_variable *variables, **variables_end;
	struct ptx_function *functions, **functions_end;
	struct ptx_symbol *buckets[PTX_HASH_BUCKETS];
};

/* The first failure of a load; later ones do not replace it. */
struct load_error {
	enum engine_status status;
	char *log;
	size_t log_bytes;
};

__attribute__((format(printf, 4, 5))) bool load_fail(struct load_error *error, enum engine_status status, uint32_t line,
						     const char *format, ...); /* always false */

/* Parses one text.  False: error is set.  The unit and the text must live as long as the tree. */
bool ptx_parse(struct ptx_unit *unit, struct pool *pool, const char *text, size_t bytes, struct load_error *error);

/* Looks in scope and the scopes around it; NULL when there is none. */
struct ptx_symbol *ptx_symbol_find(const struct ptx_unit *unit, const struct ptx_scope *scope, const char *name,
				   size_t length);

#endif
