/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of variables and parameters, and initialisers. */
#include "parser.h"

#include <string.h>

static const uint64_t variable_bytes_max = (uint64_t)1 << 32;

static bool initialiser_set_symbol(struct parser *parser, const struct token *name, struct ptx_initialiser *initialiser)
{
	const struct ptx_symbol *symbol = ptx_symbol_find(parser->unit, parser->scope, name->text, name->length);

	if (!symbol || (symbol->kind != SYMBOL_VARIABLE && symbol->kind != SYMBOL_FUNCTION))
		return parser_fail(parser, "an initialiser names an unknown symbol");
	if (symbol->kind == SYMBOL_VARIABLE)
		initialiser->variable = symbol->variable;
	else
		initialiser->function = symbol->function;
	return true;
}

static bool initialiser_read_symbol(struct parser *parser, struct ptx_initialiser *initialiser)
{
	bool generic = token_is(&parser->token, "generic") && parser->next.kind == TOKEN_PUNCTUATION &&
		       parser->next.punctuation == '(';
	struct token name;

	if (generic) {
		parser_advance(parser);
		parser_advance(parser);
	}
	name = parser->token;
	parser_advance(parser);
	if (!initialiser_set_symbol(parser, &name, initialiser))
		return false;
	if (generic && !parser_expect(parser, ')'))
		return false;
	if (parser_at(parser, '+') || parser_at(parser, '-')) {
		bool minus = parser_at(parser, '-');

		parser_advance(parser);
		if (!parser_read_integer(parser, &initialiser->bits))
			return false;
		if (minus)
			initialiser->bits = 0 - initialiser->bits;
	}
	return true;
}

static uint64_t constant_convert(uint64_t value, enum token_kind kind, enum ptx_type type)
{
	double wide;
	float narrow;

	if (kind == TOKEN_FLOAT64 && type == PTX_F32) {
		uint32_t bits;

		memcpy(&wide, &value, sizeof(wide));
		narrow = (float)wide;
		memcpy(&bits, &narrow, sizeof(bits));
		return bits;
	}
	if ((kind == TOKEN_FLOAT32 && type == PTX_F64) || (kind == TOKEN_INTEGER && type == PTX_F64)) {
		uint32_t bits = (uint32_t)value;

		memcpy(&narrow, &bits, sizeof(narrow));
		wide = kind == TOKEN_INTEGER ? (double)(int64_t)value : (double)narrow;
		memcpy(&value, &wide, sizeof(value));
		return value;
	}
	if (kind == TOKEN_INTEGER && type == PTX_F32) {
		uint32_t bits;

		narrow = (float)(int64_t)value;
		memcpy(&bits, &narrow, sizeof(bits));
		return bits;
	}
	return value;
}

static bool initialiser_read(struct parser *parser, struct ptx_variable *variable, uint64_t offset,
			     struct ptx_initialiser ***end)
{
	struct ptx_initialiser *initialiser = pool_allocate(parser->pool, sizeof(*initialiser));

	if (!initialiser)
		return parser_fail_memory(parser);
	initialiser->offset = offset;
	initialiser->bytes = ptx_type_bytes(variable->type);
	if (parser->token.kind == TOKEN_NAME && !token_is(&parser->token, "WARP_SZ")) {
		if (!initialiser_read_symbol(parser, initialiser))
			return false;
		if (initialiser->bytes != 8 && initialiser->bytes != 4)
			return parser_fail(parser, "an address does not fit its variable");
	} else {
		enum token_kind kind;

		if (!parser_read_constant(parser, &initialiser->bits, &kind))
			return false;
		if (parser_at(parser, '('))
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
					 "masked address in an initialiser");
		initialiser->bits = constant_convert(initialiser->bits, kind, variable->type);
	}
	if (offset + initialiser->bytes > variable->bytes)
		return parser_fail(parser, "too many initialisers");
	if (initialiser->bits || initialiser->variable || initialiser->function) {
		**end = initialiser;
		*end = &initialiser->next;
	}
	return true;
}

static bool initialisers_read(struct parser *parser, struct ptx_variable *variable)
{
	struct ptx_initialiser **end = &variable->initialisers;
	uint64_t offset = 0;

	if (variable->space != SPACE_GLOBAL && variable->space != SPACE_CONST)
		return parser_fail(parser, "only .global and .const variables have initialisers");
	if (!parser_accept(parser, '{'))
		return initialiser_read(parser, variable, 0, &end);
	if (parser_accept(parser, '}'))
		return true;
	do {
		if (parser_at(parser, '{'))
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
					 "nested braces in an initialiser");
		if (!initialiser_read(parser, variable, offset, &end))
			return false;
		offset += ptx_type_bytes(variable->type);
	} while (parser_accept(parser, ','));
	return parser_expect(parser, '}');
}

static bool dimensions_read(struct parser *parser, struct ptx_variable *variable)
{
	while (parser_accept(parser, '[')) {
		uint64_t count = 0;

		if (!parser_at(parser, ']') && !parser_read_integer(parser, &count))
			return false;
		if (!parser_expect(parser, ']'))
			return false;
		if (__builtin_mul_overflow(variable->bytes, count, &variable->bytes) ||
		    variable->bytes > variable_bytes_max)
			return parser_fail(parser, "a variable is too large");
	}
	return true;
}

static bool alignment_read(struct parser *parser, uint64_t *alignment)
{
	return parser_read_integer(parser, alignment) &&
	       ((*alignment && *alignment <= 4096 && (*alignment & (*alignment - 1)) == 0) ||
		parser_fail(parser, "a bad alignment"));
}

/* ".align 8 .b8", ".v4 .f32", ".u64 .ptr .global .align 4": what stands before a variable's name. */
static bool variable_type_read(struct parser *parser, struct ptx_variable *variable)
{
	unsigned lanes = 1;

	while (parser->token.kind == TOKEN_DOT_NAME) {
		enum ptx_type type = ptx_type_find(parser->token.text, parser->token.length);

		if (parser_accept_dot(parser, "align")) {
			uint64_t alignment;

			if (!alignment_read(parser, &alignment))
				return false;
			if (!variable->type || variable->space != SPACE_PARAM)
				variable->alignment = alignment;
		} else if (type) {
			variable->type = type;
			parser_advance(parser);
		} else if (variable->space == SPACE_GLOBAL && parser_accept_dot(parser, "texref")) {
			variable->type = PTX_B64;
			variable->reference = REFERENCE_TEXTURE;
		} else if (variable->space == SPACE_GLOBAL && parser_accept_dot(parser, "surfref")) {
			variable->type = PTX_B64;
			variable->reference = REFERENCE_SURFACE;
		} else if (parser_accept_dot(parser, "v2")) {
			lanes = 2;
		} else if (parser_accept_dot(parser, "v4")) {
			lanes = 4;
		} else if (variable->space == SPACE_PARAM &&
			   (parser_accept_dot(parser, "ptr") || parser_accept_dot(parser, "global") ||
			    parser_accept_dot(parser, "const") || parser_accept_dot(parser, "shared") ||
			    parser_accept_dot(parser, "local"))) {
			/* Hints about what a pointer parameter points to. */
		} else if (parser_accept_dot(parser, "attribute")) {
			if (!parser_expect(parser, '('))
				return false;
			while (!parser_accept(parser, ')')) {
				if (parser->token.kind == TOKEN_END || parser->token.kind == TOKEN_BAD)
					return parser_fail(parser, "expected ')'");
				if (parser_accept_dot(parser, "managed"))
					variable->is_managed = true;
				else
					parser_advance(parser);
			}
		} else {
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
					 "variable attribute '.%.*s'",
					 parser->token.length < 40 ? (int)parser->token.length : 40,
					 parser->token.text);
		}
	}
	if (!ptx_type_bytes(variable->type))
		return parser_fail(parser, "expected a type");
	variable->bytes = (uint64_t)lanes * ptx_type_bytes(variable->type);
	if (variable->alignment < variable->bytes && !variable->alignment)
		variable->alignment = variable->bytes;
	return true;
}

/* NULL: the error is set. */
static struct ptx_variable *variable_add(struct parser *parser, const struct ptx_variable *model,
					 const struct token *name)
{
	struct ptx_symbol *previous = ptx_symbol_find(parser->unit, parser->scope, name->text, name->length);
	struct ptx_variable *variable;

	/* A declaration (.extern) may precede the definition. */
	if (previous && previous->scope == parser->scope && previous->kind == SYMBOL_VARIABLE && !parser->function &&
	    (previous->variable->is_extern || model->is_extern) && previous->variable->space == model->space) {
		variable = previous->variable;
		if (model->is_extern)
			return variable;
		struct ptx_variable *next = variable->next;
		const char *kept_name = variable->name;
		bool used_by_device_function = variable->used_by_device_function;

		*variable = *model;
		variable->next = next;
		variable->name = kept_name;
		variable->used_by_device_function = used_by_device_function;
		return variable;
	}
	struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_VARIABLE);

	if (!symbol)
		return NULL;
	variable = pool_allocate(parser->pool, sizeof(*variable));
	symbol->variable = variable;
	if (!variable) {
		parser_fail_memory(parser);
		return NULL;
	}
	*variable = *model;
	variable->next = NULL;
	variable->line = name->line;
	variable->owner = parser->function;
	variable->name = pool_copy_text(parser->pool, name->text, name->length);
	if (!variable->name) {
		parser_fail_memory(parser);
		return NULL;
	}
	if (parser->function) {
		variable->next = parser->function->locals;
		parser->function->locals = variable;
	} else if (model->space != SPACE_PARAM) {
		*parser->unit->variables_end = variable;
		parser->unit->variables_end = &variable->next;
	}
	return variable;
}

/* After the space: ".align 4 .b8 name[16] = {...}, other;". */
bool parser_read_variable(struct parser *parser, enum ptx_space space, struct ptx_variable *flags)
{
	struct ptx_variable model = *flags;

	model.space = space;
	if (!variable_type_read(parser, &model))
		return false;
	uint64_t element_bytes = model.bytes;

	do {
		struct ptx_variable *variable;
		struct token name = parser->token;

		if (name.kind != TOKEN_NAME)
			return parser_fail(parser, "expected a variable's name");
		parser_advance(parser);
		model.bytes = element_bytes;
		/* .local .b8 %depot<2> style ranges do not occur; [n] does. */
		if (!dimensions_read(parser, &model))
			return false;
		if (model.reference && (model.bytes != element_bytes || parser_at(parser, '=')))
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, name.line,
					 "arrays and initial values of references");
		variable = variable_add(parser, &model, &name);
		if (!variable)
			return false;
		if (parser_accept(parser, '=') && !initialisers_read(parser, variable))
			return false;
	} while (parser_accept(parser, ','));
	return parser_expect(parser, ';');
}

static bool parameter_add(struct parser *parser, struct ptx_function *function, bool returns,
			  struct ptx_variable *model, const struct token *name)
{
	struct ptx_variable *variable = pool_allocate(parser->pool, sizeof(*variable));

	if (!variable)
		return parser_fail_memory(parser);
	*variable = *model;
	variable->is_kernel_parameter = function->is_entry;
	variable->line = name->line;
	variable->name = pool_copy_text(parser->pool, name->text, name->length);
	if (!variable->name)
		return parser_fail_memory(parser);
	if (!token_is(name, "_")) {
		struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_VARIABLE);

		if (!symbol)
			return false;
		symbol->variable = variable;
	}
	if (returns) {
		if (function->return_value)
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, name->line,
					 "more than one return value");
		function->return_value = variable;
		return true;
	}
	if (function->parameter_count >= PTX_CALL_ARGUMENTS_MAX * 16)
		return parser_fail(parser, "too many parameters");
	if ((function->parameter_count & (function->parameter_count + 1)) == 0) {
		struct ptx_variable **grown = pool_allocate_array(
			parser->pool, (size_t)function->parameter_count * 2 + 2, sizeof(struct ptx_variable *));

		if (!grown)
			return parser_fail_memory(parser);
		if (function->parameter_count)
			memcpy(grown, function->parameters, function->parameter_count * sizeof(struct ptx_variable *));
		function->parameters = grown;
	}
	function->parameters[function->parameter_count++] = variable;
	return true;
}

/* At '(': the parameters or the return value of a function or a prototype. */
bool parser_read_parameters(struct parser *parser, struct ptx_function *function, bool returns)
{
	if (!parser_expect(parser, '('))
		return false;
	if (parser_accept(parser, ')'))
		return true;
	do {
		struct ptx_variable model = {.space = SPACE_PARAM};

		if (parser->token.kind == TOKEN_DOT_NAME && token_is(&parser->token, "reg"))
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
					 "function parameters in registers (.reg)");
		if (!parser_accept_dot(parser, "param"))
			return parser_fail(parser, "expected .param");
		if (!variable_type_read(parser, &model))
			return false;
		struct token name = parser->token;

		if (name.kind != TOKEN_NAME)
			return parser_fail(parser, "expected a parameter's name");
		parser_advance(parser);
		if (!dimensions_read(parser, &model))
			return false;
		if (!parameter_add(parser, function, returns, &model, &name))
			return false;
	} while (parser_accept(parser, ','));
	return parser_expect(parser, ')');
}
