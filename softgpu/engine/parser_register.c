/* SPDX-License-Identifier: Apache-2.0 */
/* .reg, and finding registers by name. */
#include "parser.h"

#include <string.h>

enum {
	REGISTER_RANGE_MAX = 1 << 20,
};

static struct ptx_register *register_create(struct parser *parser, enum ptx_type type)
{
	struct ptx_function *function = parser->function;
	struct ptx_register *reg = pool_allocate(parser->pool, sizeof(*reg));

	if (!reg) {
		parser_fail_memory(parser);
		return NULL;
	}
	if (function->register_count == function->register_capacity) {
		uint32_t capacity = function->register_capacity ? function->register_capacity * 2 : 64;
		struct ptx_register **grown = pool_allocate_array(parser->pool, capacity, sizeof(*grown));

		if (!grown) {
			parser_fail_memory(parser);
			return NULL;
		}
		if (function->register_count)
			memcpy(grown, function->registers, function->register_count * sizeof(*grown));
		function->registers = grown;
		function->register_capacity = capacity;
	}
	reg->type = type;
	reg->index = function->register_count;
	function->registers[function->register_count++] = reg;
	return reg;
}

static bool register_add(struct parser *parser, enum ptx_type type, const struct token *name,
			 struct ptx_register **ret_register)
{
	struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_REGISTER);

	if (!symbol)
		return false;
	symbol->reg = register_create(parser, type);
	if (!symbol->reg)
		return false;
	*ret_register = symbol->reg;
	return true;
}

/* %r<100>: registers come to life when first named, so that a large range costs little. */
static bool register_range_add(struct parser *parser, enum ptx_type type, const struct token *name)
{
	struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_REGISTER_RANGE);
	uint64_t count;
	enum token_kind kind;

	if (!symbol || !parser_read_constant(parser, &count, &kind))
		return false;
	if (kind != TOKEN_INTEGER || count > REGISTER_RANGE_MAX)
		return parser_fail(parser, "a bad number of registers");
	struct ptx_register_range *range = pool_allocate(parser->pool, sizeof(*range));

	symbol->range = range;
	if (!range)
		return parser_fail_memory(parser);
	range->type = type;
	range->count = (uint32_t)count;
	range->registers = pool_allocate_array(parser->pool, count, sizeof(struct ptx_register *));
	if (!range->registers)
		return parser_fail_memory(parser);
	return parser_expect(parser, '>');
}

bool parser_read_registers(struct parser *parser)
{
	enum ptx_type type = parser->token.kind == TOKEN_DOT_NAME
				     ? ptx_type_find(parser->token.text, parser->token.length)
				     : PTX_NONE;

	if (!type || type == PTX_B128)
		return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line, "registers of .%.*s",
				 parser->token.length < 40 ? (int)parser->token.length : 40, parser->token.text);
	parser_advance(parser);
	do {
		struct token name = parser->token;
		struct ptx_register *reg;

		if (name.kind != TOKEN_NAME)
			return parser_fail(parser, "expected a register's name");
		parser_advance(parser);
		if (parser_accept(parser, '<')) {
			if (!register_range_add(parser, type, &name))
				return false;
		} else if (!register_add(parser, type, &name, &reg)) {
			return false;
		}
	} while (parser_accept(parser, ','));
	return parser_expect(parser, ';');
}

bool parser_register_find(struct parser *parser, const struct token *name, struct ptx_register **ret_register)
{
	struct ptx_symbol *symbol = ptx_symbol_find(parser->unit, parser->scope, name->text, name->length);
	size_t stem = name->length;
	uint64_t index = 0;

	*ret_register = NULL;
	if (symbol && symbol->kind == SYMBOL_REGISTER) {
		*ret_register = symbol->reg;
		return true;
	}
	if (symbol)
		return true;
	while (stem && name->text[stem - 1] >= '0' && name->text[stem - 1] <= '9')
		stem--;
	/* The stem may itself end in a digit: try the longer number first. */
	for (size_t split = stem; split < name->length; split++) {
		if (split && split + 1 < name->length && name->text[split] == '0')
			continue;
		symbol = ptx_symbol_find(parser->unit, parser->scope, name->text, split);
		if (!symbol || symbol->kind != SYMBOL_REGISTER_RANGE)
			continue;
		index = 0;
		for (size_t i = split; i < name->length && index < REGISTER_RANGE_MAX; i++)
			index = index * 10 + (uint64_t)(name->text[i] - '0');
		if (index >= symbol->range->count)
			return load_fail(parser->error, ENGINE_ERROR_INVALID_PTX, name->line,
					 "register '%.*s' is out of its range",
					 name->length < 60 ? (int)name->length : 60, name->text);
		if (!symbol->range->registers[index]) {
			symbol->range->registers[index] = register_create(parser, symbol->range->type);
			if (!symbol->range->registers[index])
				return false;
		}
		*ret_register = symbol->range->registers[index];
		return true;
	}
	return true;
}
