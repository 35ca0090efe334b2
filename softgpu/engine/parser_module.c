/* SPDX-License-Identifier: Apache-2.0 */
/* Directives outside of function bodies. */
#include "parser.h"

#include <string.h>

static bool function_limits_read(struct parser *parser, struct ptx_function *function)
{
	while (parser->token.kind == TOKEN_DOT_NAME) {
		uint64_t value[3] = {1, 1, 1};
		enum token_kind kind;
		bool maximum = token_is(&parser->token, "maxntid");
		bool required = token_is(&parser->token, "reqntid");
		unsigned count = 0;

		if (parser_accept_dot(parser, "noreturn")) {
			function->is_noreturn = true;
			continue;
		}
		if (parser_accept_dot(parser, "explicitcluster") || parser_accept_dot(parser, "blocksareclusters"))
			continue;
		if (parser_accept_dot(parser, "pragma")) {
			if (!parser_skip_to_semicolon(parser))
				return false;
			continue;
		}
		if (!maximum && !required && !token_is(&parser->token, "minnctapersm") &&
		    !token_is(&parser->token, "maxnctapersm") && !token_is(&parser->token, "maxnreg") &&
		    !token_is(&parser->token, "reqnctapercluster") && !token_is(&parser->token, "maxclusterrank") &&
		    !token_is(&parser->token, "abi_preserve") && !token_is(&parser->token, "abi_preserve_control"))
			return parser_fail(parser, "unknown function directive");
		parser_advance(parser);
		do {
			if (count >= 3 || !parser_read_constant(parser, &value[count], &kind) ||
			    value[count] > 1u << 31)
				return parser_fail(parser, "a bad limit");
			count++;
		} while (parser_accept(parser, ','));
		if (maximum) {
			uint64_t threads = value[0] * value[1];

			if (threads > 1024 || threads * value[2] > 1024)
				threads = 1024;
			else
				threads *= value[2];
			function->max_threads = (uint32_t)threads;
		}
		for (unsigned i = 0; required && i < 3; i++)
			function->required_threads[i] = (uint32_t)value[i];
	}
	return true;
}

/* What the name stands for from now on: the function, or an earlier declaration of it. NULL: the error is set. */
static struct ptx_function *function_register(struct parser *parser, const struct token *name,
					      struct ptx_function *function)
{
	struct ptx_symbol *symbol = ptx_symbol_find(parser->unit, &parser->unit->scope, name->text, name->length);

	if (symbol) {
		struct ptx_function *previous = symbol->function;

		if (symbol->kind != SYMBOL_FUNCTION) {
			parser_fail(parser, "a function has the name of a variable");
			return NULL;
		}
		if (!function->has_body) {
			previous->is_noreturn |= function->is_noreturn;
			return previous;
		}
		if (previous->has_body) {
			parser_fail(parser, "a function is defined twice");
			return NULL;
		}
		function->next = previous->next;
		function->is_noreturn |= previous->is_noreturn;
		*previous = *function;
		return previous;
	}
	struct ptx_scope *scope = parser->scope;

	parser->scope = &parser->unit->scope;
	symbol = parser_symbol_add(parser, name, SYMBOL_FUNCTION);
	parser->scope = scope;
	if (!symbol)
		return NULL;
	symbol->function = function;
	*parser->unit->functions_end = function;
	parser->unit->functions_end = &function->next;
	return function;
}

/* After .entry or .func. */
static bool function_read(struct parser *parser, const struct ptx_variable *flags, bool is_entry)
{
	struct ptx_function *function = pool_allocate(parser->pool, sizeof(*function));
	struct ptx_scope *scope = pool_allocate(parser->pool, sizeof(*scope));
	struct ptx_function *registered;

	if (!function || !scope)
		return parser_fail_memory(parser);
	function->is_entry = is_entry;
	function->is_extern = flags->is_extern;
	function->is_visible = flags->is_visible;
	function->is_weak = flags->is_weak;
	function->unit = parser->unit;
	function->max_threads = 1024;
	scope->parent = &parser->unit->scope;
	parser->scope = scope;
	if (parser_at(parser, '(') && !parser_read_parameters(parser, function, true))
		return false;
	struct token name = parser->token;

	if (name.kind != TOKEN_NAME)
		return parser_fail(parser, "expected a function's name");
	function->line = name.line;
	function->name = pool_copy_text(parser->pool, name.text, name.length);
	if (!function->name)
		return parser_fail_memory(parser);
	parser_advance(parser);
	if (parser_at(parser, '(') && !parser_read_parameters(parser, function, false))
		return false;
	if (!function_limits_read(parser, function))
		return false;
	function->has_body = parser_at(parser, '{');
	registered = function_register(parser, &name, function);
	if (!registered)
		return false;
	scope->function = registered;
	if (!registered->has_body || !function->has_body) {
		parser->scope = &parser->unit->scope;
		return parser_expect(parser, ';');
	}
	parser->function = registered;
	bool read = parser_read_body(parser, registered);

	parser->function = NULL;
	parser->scope = &parser->unit->scope;
	return read;
}

#define PTX_VERSION_MAXIMUM 9.0

static bool version_read(struct parser *parser)
{
	struct token token = parser->token;
	double version;

	if (token.kind != TOKEN_FLOAT64)
		return parser_fail(parser, "expected a version");
	memcpy(&version, &token.value, sizeof(version));
	if (!(version >= 1.0 && version < 100.0))
		return parser_fail(parser, "a bad version");
	/* Of CUDA 13.0, as the driver's version says. */
	if (version > PTX_VERSION_MAXIMUM)
		return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line, ".version %.1f",
				 version);
	parser->unit->version = (uint32_t)(version * 10.0 + 0.5);
	parser_advance(parser);
	return true;
}

static bool target_read(struct parser *parser)
{
	do {
		struct token token = parser->token;

		if (token.kind != TOKEN_NAME)
			return parser_fail(parser, "expected a target");
		if (token.length > 3 && memcmp(token.text, "sm_", 3) == 0) {
			uint32_t sm = 0;

			for (size_t i = 3; i < token.length && i < 7; i++)
				if (token.text[i] >= '0' && token.text[i] <= '9')
					sm = sm * 10 + (uint32_t)(token.text[i] - '0');
			parser->unit->target_sm = sm;
		}
		parser_advance(parser);
	} while (parser_accept(parser, ','));
	return true;
}

static bool file_skip(struct parser *parser)
{
	if (parser->token.kind != TOKEN_INTEGER)
		return parser_fail(parser, "expected a file's number");
	parser_advance(parser);
	if (parser->token.kind != TOKEN_STRING)
		return parser_fail(parser, "expected a file's name");
	parser_advance(parser);
	while (parser_accept(parser, ',')) {
		if (parser->token.kind != TOKEN_INTEGER)
			return parser_fail(parser, "expected a number");
		parser_advance(parser);
	}
	return true;
}

static bool address_size_read(struct parser *parser)
{
	if (parser->token.kind != TOKEN_INTEGER)
		return parser_fail(parser, "expected an address size");
	if (parser->token.value != 64)
		return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line, ".address_size %llu",
				 (unsigned long long)parser->token.value);
	parser_advance(parser);
	return true;
}

static bool directive_read(struct parser *parser)
{
	struct ptx_variable flags = {0};

	if (parser_accept_dot(parser, "version"))
		return version_read(parser);
	if (parser_accept_dot(parser, "target"))
		return target_read(parser);
	if (parser_accept_dot(parser, "address_size"))
		return address_size_read(parser);
	if (parser_accept_dot(parser, "file"))
		return file_skip(parser);
	if (parser_accept_dot(parser, "section"))
		return parser_skip_section(parser);
	if (parser_accept_dot(parser, "pragma") || parser_accept_dot(parser, "loc"))
		return parser_skip_to_semicolon(parser);
	for (;;) {
		if (parser_accept_dot(parser, "extern"))
			flags.is_extern = true;
		else if (parser_accept_dot(parser, "visible"))
			flags.is_visible = true;
		else if (parser_accept_dot(parser, "weak") || parser_accept_dot(parser, "common"))
			flags.is_weak = true;
		else
			break;
	}
	if (parser_accept_dot(parser, "entry"))
		return function_read(parser, &flags, true);
	if (parser_accept_dot(parser, "func"))
		return function_read(parser, &flags, false);
	if (parser_accept_dot(parser, "global"))
		return parser_read_variable(parser, SPACE_GLOBAL, &flags);
	if (parser_accept_dot(parser, "const"))
		return parser_read_variable(parser, SPACE_CONST, &flags);
	if (parser_accept_dot(parser, "shared"))
		return parser_read_variable(parser, SPACE_SHARED, &flags);
	if (parser->token.kind == TOKEN_DOT_NAME)
		return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line, "directive '.%.*s'",
				 parser->token.length < 60 ? (int)parser->token.length : 60, parser->token.text);
	return parser_fail(parser, "expected a directive");
}

bool ptx_parse(struct ptx_unit *unit, struct pool *pool, const char *text, size_t bytes, struct load_error *error)
{
	struct parser parser = {
		.unit = unit,
		.pool = pool,
		.error = error,
		.scope = &unit->scope,
	};

	unit->pool = pool;
	unit->variables_end = &unit->variables;
	unit->functions_end = &unit->functions;
	lexer_start(&parser.lexer, text, bytes);
	parser_advance(&parser);
	parser_advance(&parser);
	if (!parser_accept_dot(&parser, "version"))
		return parser_fail(&parser, "expected .version");
	if (!version_read(&parser))
		return false;
	while (parser.token.kind != TOKEN_END)
		if (!directive_read(&parser))
			return false;
	return true;
}
