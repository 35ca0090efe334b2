/* SPDX-License-Identifier: Apache-2.0 */
#include "parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	CONSTANT_DEPTH_MAX = 32,
};

static const struct {
	const char *name;
	unsigned char bytes;
	bool is_signed;
	bool is_float;
} types[PTX_TYPE_COUNT] = {
	[PTX_B8] = {"b8", 1, false, false},	   [PTX_B16] = {"b16", 2, false, false},
	[PTX_B32] = {"b32", 4, false, false},	   [PTX_B64] = {"b64", 8, false, false},
	[PTX_B128] = {"b128", 16, false, false},   [PTX_U8] = {"u8", 1, false, false},
	[PTX_U16] = {"u16", 2, false, false},	   [PTX_U32] = {"u32", 4, false, false},
	[PTX_U64] = {"u64", 8, false, false},	   [PTX_S8] = {"s8", 1, true, false},
	[PTX_S16] = {"s16", 2, true, false},	   [PTX_S32] = {"s32", 4, true, false},
	[PTX_S64] = {"s64", 8, true, false},	   [PTX_F16] = {"f16", 2, true, true},
	[PTX_F16X2] = {"f16x2", 4, true, false},   [PTX_BF16] = {"bf16", 2, true, true},
	[PTX_BF16X2] = {"bf16x2", 4, true, false}, [PTX_F32] = {"f32", 4, true, true},
	[PTX_F64] = {"f64", 8, true, true},	   [PTX_TF32] = {"tf32", 4, true, true},
	[PTX_PRED] = {"pred", 0, false, false},
};

unsigned ptx_type_bytes(enum ptx_type type)
{
	return types[type].bytes;
}

bool ptx_type_signed(enum ptx_type type)
{
	return types[type].is_signed;
}

bool ptx_type_float(enum ptx_type type)
{
	return types[type].is_float;
}

enum ptx_type ptx_type_find(const char *text, size_t length)
{
	for (unsigned i = PTX_NONE + 1; i < PTX_TYPE_COUNT; i++)
		if (strlen(types[i].name) == length && memcmp(types[i].name, text, length) == 0)
			return (enum ptx_type)i;
	return PTX_NONE;
}

bool load_fail(struct load_error *error, enum engine_status status, uint32_t line, const char *format, ...)
{
	va_list arguments;

	if (error->status != ENGINE_OK)
		return false;
	error->status = status;
	if (!error->log_bytes)
		return false;
	int used = line ? snprintf(error->log, error->log_bytes, "line %u: ", line) : 0;

	if (used < 0 || (size_t)used >= error->log_bytes)
		return false;
	va_start(arguments, format);
	vsnprintf(error->log + used, error->log_bytes - (size_t)used, format, arguments);
	va_end(arguments);
	for (char *c = error->log; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return false;
}

void parser_advance(struct parser *parser)
{
	parser->token = parser->next;
	parser->next = lexer_next(&parser->lexer);
}

bool parser_fail(struct parser *parser, const char *what)
{
	int length = parser->token.length < 60 ? (int)parser->token.length : 60;

	if (parser->token.kind == TOKEN_END)
		return load_fail(parser->error, ENGINE_ERROR_INVALID_PTX, parser->token.line,
				 "%s at the end of the text", what);
	return load_fail(parser->error, ENGINE_ERROR_INVALID_PTX, parser->token.line, "%s near '%.*s'", what, length,
			 parser->token.text);
}

bool parser_fail_memory(struct parser *parser)
{
	return load_fail(parser->error, ENGINE_ERROR_OUT_OF_MEMORY, parser->token.line, "out of memory");
}

bool parser_at(const struct parser *parser, char punctuation)
{
	return parser->token.kind == TOKEN_PUNCTUATION && parser->token.punctuation == punctuation &&
	       !parser->token.doubled;
}

bool parser_accept(struct parser *parser, char punctuation)
{
	if (!parser_at(parser, punctuation))
		return false;
	parser_advance(parser);
	return true;
}

bool parser_expect(struct parser *parser, char punctuation)
{
	char what[] = "expected ' '";

	if (parser_accept(parser, punctuation))
		return true;
	what[10] = punctuation;
	return parser_fail(parser, what);
}

bool parser_accept_dot(struct parser *parser, const char *name)
{
	if (parser->token.kind != TOKEN_DOT_NAME || !token_is(&parser->token, name))
		return false;
	parser_advance(parser);
	return true;
}

static uint32_t symbol_hash(const struct ptx_scope *scope, const char *name, size_t length)
{
	uint64_t hash = (uintptr_t)scope >> 4;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32) % PTX_HASH_BUCKETS;
}

static struct ptx_symbol *symbol_find_in(const struct ptx_unit *unit, const struct ptx_scope *scope, const char *name,
					 size_t length)
{
	struct ptx_symbol *symbol = unit->buckets[symbol_hash(scope, name, length)];

	while (symbol &&
	       (symbol->scope != scope || symbol->name_length != length || memcmp(symbol->name, name, length) != 0))
		symbol = symbol->chain;
	return symbol;
}

struct ptx_symbol *ptx_symbol_find(const struct ptx_unit *unit, const struct ptx_scope *scope, const char *name,
				   size_t length)
{
	for (; scope; scope = scope->parent) {
		struct ptx_symbol *symbol = symbol_find_in(unit, scope, name, length);

		if (symbol)
			return symbol;
	}
	return NULL;
}

struct ptx_symbol *parser_symbol_add(struct parser *parser, const struct token *name, enum ptx_symbol_kind kind)
{
	if (symbol_find_in(parser->unit, parser->scope, name->text, name->length)) {
		parser_fail(parser, "a name is declared twice");
		return NULL;
	}
	struct ptx_symbol *symbol = pool_allocate(parser->pool, sizeof(*symbol));

	if (!symbol) {
		parser_fail_memory(parser);
		return NULL;
	}
	symbol->scope = parser->scope;
	symbol->name = name->text;
	symbol->name_length = name->length;
	symbol->kind = kind;
	struct ptx_symbol **bucket =
		&parser->unit->buckets[symbol_hash(parser->scope, symbol->name, symbol->name_length)];

	symbol->chain = *bucket;
	*bucket = symbol;
	return symbol;
}

static bool constant_read_unary(struct parser *parser, uint64_t *ret_value, enum token_kind *ret_kind);

static int operator_precedence(const struct token *token)
{
	if (token->kind != TOKEN_PUNCTUATION)
		return 0;
	switch (token->punctuation) {
	case '|':
		return token->doubled ? 0 : 1;
	case '^':
		return 2;
	case '&':
		return token->doubled ? 0 : 3;
	case '<':
	case '>':
		return token->doubled ? 4 : 0;
	case '+':
	case '-':
		return 5;
	case '*':
	case '/':
	case '%':
		return 6;
	default:
		return 0;
	}
}

static bool operator_apply(struct parser *parser, char operation, uint64_t right, uint64_t *value)
{
	switch (operation) {
	case '|':
		*value |= right;
		return true;
	case '^':
		*value ^= right;
		return true;
	case '&':
		*value &= right;
		return true;
	case '<':
		*value = right < 64 ? *value << right : 0;
		return true;
	case '>':
		*value = right < 64 ? *value >> right : 0;
		return true;
	case '+':
		*value += right;
		return true;
	case '-':
		*value -= right;
		return true;
	case '*':
		*value *= right;
		return true;
	default:
		if (!right)
			return parser_fail(parser, "division by zero");
		*value = operation == '/' ? *value / right : *value % right;
		return true;
	}
}

static bool constant_read_binary(struct parser *parser, int precedence, uint64_t *ret_value, enum token_kind *ret_kind)
{
	uint64_t value = 0;
	enum token_kind kind = TOKEN_END;

	if (!constant_read_unary(parser, &value, &kind))
		return false;
	while (operator_precedence(&parser->token) >= precedence) {
		struct token operation = parser->token;
		uint64_t right = 0;
		enum token_kind right_kind = TOKEN_END;

		parser_advance(parser);
		if (!constant_read_binary(parser, operator_precedence(&operation) + 1, &right, &right_kind))
			return false;
		if (kind != TOKEN_INTEGER || right_kind != TOKEN_INTEGER)
			return parser_fail(parser, "arithmetic on floating constants");
		if (!operator_apply(parser, operation.punctuation, right, &value))
			return false;
	}
	*ret_value = value;
	*ret_kind = kind;
	return true;
}

static bool constant_read_nested(struct parser *parser, bool parenthesised, uint64_t *ret_value,
				 enum token_kind *ret_kind)
{
	if (++parser->depth > CONSTANT_DEPTH_MAX)
		return parser_fail(parser, "an expression is nested too deeply");
	bool read = parenthesised ? constant_read_binary(parser, 1, ret_value, ret_kind)
				  : constant_read_unary(parser, ret_value, ret_kind);

	parser->depth--;
	return read && (!parenthesised || parser_expect(parser, ')'));
}

static bool constant_read_unary(struct parser *parser, uint64_t *ret_value, enum token_kind *ret_kind)
{
	struct token token = parser->token;

	if (token.kind == TOKEN_INTEGER || token.kind == TOKEN_FLOAT32 || token.kind == TOKEN_FLOAT64) {
		*ret_value = token.value;
		*ret_kind = token.kind;
		parser_advance(parser);
		return true;
	}
	if (token_is(&token, "WARP_SZ")) {
		*ret_value = 32;
		*ret_kind = TOKEN_INTEGER;
		parser_advance(parser);
		return true;
	}
	if (token.kind != TOKEN_PUNCTUATION || token.doubled || !strchr("-+~!(", token.punctuation))
		return parser_fail(parser, "expected a constant");
	parser_advance(parser);
	if (token.punctuation == '(') {
		/* A cast, as in (.u64)1. */
		if (parser->token.kind == TOKEN_DOT_NAME && parser->next.kind == TOKEN_PUNCTUATION &&
		    parser->next.punctuation == ')') {
			parser_advance(parser);
			parser_advance(parser);
			return constant_read_nested(parser, false, ret_value, ret_kind);
		}
		return constant_read_nested(parser, true, ret_value, ret_kind);
	}
	if (!constant_read_nested(parser, false, ret_value, ret_kind))
		return false;
	switch (token.punctuation) {
	case '-':
		if (*ret_kind == TOKEN_FLOAT32)
			*ret_value ^= UINT64_C(1) << 31;
		else if (*ret_kind == TOKEN_FLOAT64)
			*ret_value ^= UINT64_C(1) << 63;
		else
			*ret_value = 0 - *ret_value;
		return true;
	case '~':
		*ret_value = ~*ret_value;
		return *ret_kind == TOKEN_INTEGER || parser_fail(parser, "~ of a floating constant");
	case '!':
		*ret_value = !*ret_value;
		return *ret_kind == TOKEN_INTEGER || parser_fail(parser, "! of a floating constant");
	default:
		return true;
	}
}

bool parser_read_constant(struct parser *parser, uint64_t *ret_value, enum token_kind *ret_kind)
{
	return constant_read_binary(parser, 1, ret_value, ret_kind);
}

bool parser_read_integer(struct parser *parser, uint64_t *ret_value)
{
	enum token_kind kind = TOKEN_END;

	return parser_read_constant(parser, ret_value, &kind) &&
	       (kind == TOKEN_INTEGER || parser_fail(parser, "expected an integer"));
}

bool parser_skip_to_semicolon(struct parser *parser)
{
	while (!parser_at(parser, ';')) {
		if (parser->token.kind == TOKEN_END || parser->token.kind == TOKEN_BAD)
			return parser_fail(parser, "expected ';'");
		parser_advance(parser);
	}
	parser_advance(parser);
	return true;
}

/* After ".section": debug information, which the engine has no use for. */
bool parser_skip_section(struct parser *parser)
{
	while (!parser_at(parser, '{')) {
		if (parser->token.kind == TOKEN_END || parser->token.kind == TOKEN_BAD)
			return parser_fail(parser, "expected '{'");
		parser_advance(parser);
	}
	while (!parser_at(parser, '}')) {
		if (parser->token.kind == TOKEN_END || parser->token.kind == TOKEN_BAD)
			return parser_fail(parser, "expected '}'");
		parser_advance(parser);
	}
	parser_advance(parser);
	return true;
}
