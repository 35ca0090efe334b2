/* SPDX-License-Identifier: Apache-2.0 */
/* Function bodies: declarations, labels and instructions. */
#include "parser.h"
#include "special.h"

#include <string.h>

enum {
	SCOPE_DEPTH_MAX = 64,
	OPERAND_DEPTH_MAX = 3,
};

static bool operand_read(struct parser *parser, struct ptx_operand *operand, unsigned depth);

static bool operand_list_read(struct parser *parser, struct ptx_operand *operand, char close, unsigned depth,
			      uint32_t count_max)
{
	uint32_t capacity = 4;

	operand->elements = pool_allocate_array(parser->pool, capacity, sizeof(*operand));
	if (!operand->elements)
		return parser_fail_memory(parser);
	if (parser_accept(parser, close))
		return true;
	do {
		if (operand->element_count >= count_max)
			return parser_fail(parser, "too many elements");
		if (operand->element_count == capacity) {
			struct ptx_operand *grown =
				pool_allocate_array(parser->pool, (size_t)capacity * 2, sizeof(*operand));

			if (!grown)
				return parser_fail_memory(parser);
			memcpy(grown, operand->elements, capacity * sizeof(*operand));
			operand->elements = grown;
			capacity *= 2;
		}
		if (!operand_read(parser, &operand->elements[operand->element_count], depth + 1))
			return false;
		operand->element_count++;
	} while (parser_accept(parser, ','));
	return parser_expect(parser, close);
}

static bool operand_offset_read(struct parser *parser, struct ptx_operand *operand)
{
	while (parser_at(parser, '+') || parser_at(parser, '-')) {
		bool minus = parser_at(parser, '-');
		uint64_t offset;
		enum token_kind kind;

		parser_advance(parser);
		/* One term at a time, so that a-b-c is what it looks like. */
		if (parser->token.kind == TOKEN_INTEGER) {
			offset = parser->token.value;
			parser_advance(parser);
		} else if (!parser_read_constant(parser, &offset, &kind) || kind != TOKEN_INTEGER) {
			return parser_fail(parser, "a bad offset");
		}
		operand->value += minus ? 0 - offset : offset;
	}
	return true;
}

static bool operand_read_name(struct parser *parser, struct ptx_operand *operand)
{
	struct token name = parser->token;
	struct ptx_symbol *symbol;

	parser_advance(parser);
	if (token_is(&name, "_")) {
		operand->kind = OPERAND_SINK;
		return true;
	}
	operand->name = name;
	if (!parser_register_find(parser, &name, &operand->reg))
		return false;
	if (operand->reg) {
		operand->kind = OPERAND_REGISTER;
		return true;
	}
	if (special_find(parser, &name, &operand->special)) {
		operand->kind = OPERAND_SPECIAL;
		return true;
	}
	symbol = ptx_symbol_find(parser->unit, parser->scope, name.text, name.length);
	if (symbol && symbol->kind == SYMBOL_VARIABLE) {
		operand->kind = OPERAND_VARIABLE;
		operand->variable = symbol->variable;
		if (parser->function && !parser->function->is_entry && symbol->variable->space == SPACE_SHARED)
			symbol->variable->used_by_device_function = true;
		return true;
	}
	if (symbol && symbol->kind == SYMBOL_FUNCTION) {
		operand->kind = OPERAND_FUNCTION;
		operand->function = symbol->function;
		return true;
	}
	operand->kind = OPERAND_NAME;
	return true;
}

/* The rest of "[texture, {x, y}]". */
static bool coordinates_read(struct parser *parser, struct ptx_operand *operand, unsigned depth)
{
	if (!parser_accept(parser, ','))
		return true;
	if (!parser_accept(parser, '{'))
		return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
				 "this form of address");
	return operand_list_read(parser, operand, '}', depth, PTX_VECTOR_MAX);
}

static bool operand_second_read(struct parser *parser, struct ptx_operand *operand)
{
	struct token name;

	if (!parser_accept(parser, '|'))
		return true;
	name = parser->token;
	parser_advance(parser);
	if (token_is(&name, "_")) {
		operand->second_sink = true;
		return true;
	}
	if (name.kind != TOKEN_NAME || !parser_register_find(parser, &name, &operand->second))
		return parser_fail(parser, "expected a register after '|'");
	if (!operand->second)
		return parser_fail(parser, "expected a register after '|'");
	return true;
}

static bool operand_read(struct parser *parser, struct ptx_operand *operand, unsigned depth)
{
	enum token_kind kind;

	if (depth > OPERAND_DEPTH_MAX)
		return parser_fail(parser, "operands are nested too deeply");
	if (parser_accept(parser, '{')) {
		operand->kind = OPERAND_VECTOR;
		return operand_list_read(parser, operand, '}', depth, PTX_VECTOR_MAX) &&
		       operand_second_read(parser, operand);
	}
	if (parser_accept(parser, '(')) {
		operand->kind = OPERAND_LIST;
		return operand_list_read(parser, operand, ')', depth, PTX_CALL_ARGUMENTS_MAX);
	}
	if (parser_accept(parser, '[')) {
		if (!operand_read(parser, operand, depth + 1))
			return false;
		if (operand->kind == OPERAND_LIST || operand->kind == OPERAND_VECTOR || operand->is_address)
			return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line,
					 "this form of address");
		operand->is_address = true;
		return operand_offset_read(parser, operand) && coordinates_read(parser, operand, depth) &&
		       parser_expect(parser, ']');
	}
	if (parser_at(parser, '!') && parser->next.kind == TOKEN_NAME) {
		parser_advance(parser);
		operand->negated = true;
	}
	if (parser->token.kind == TOKEN_NAME && !token_is(&parser->token, "WARP_SZ")) {
		if (!operand_read_name(parser, operand))
			return false;
		/* "var+4" without brackets; "%r+4" has no meaning there. */
		if (operand->kind == OPERAND_VARIABLE && !operand_offset_read(parser, operand))
			return false;
		return operand_second_read(parser, operand);
	}
	if (!parser_read_constant(parser, &operand->value, &kind))
		return false;
	operand->kind = kind == TOKEN_INTEGER	? OPERAND_INTEGER
			: kind == TOKEN_FLOAT32 ? OPERAND_FLOAT32
						: OPERAND_FLOAT64;
	return true;
}

static struct ptx_statement *statement_add(struct parser *parser)
{
	struct ptx_function *function = parser->function;
	struct ptx_statement *statement;

	if (function->statement_count == function->statement_capacity) {
		uint32_t capacity = function->statement_capacity ? function->statement_capacity * 2 : 128;
		struct ptx_statement *grown = pool_allocate_array(parser->pool, capacity, sizeof(*grown));

		if (!grown) {
			parser_fail_memory(parser);
			return NULL;
		}
		if (function->statement_count)
			memcpy(grown, function->statements, function->statement_count * sizeof(*grown));
		function->statements = grown;
		function->statement_capacity = capacity;
	}
	statement = &function->statements[function->statement_count++];
	statement->line = parser->token.line;
	statement->scope = parser->scope;
	statement->text = parser->token.text;
	return statement;
}

static bool guard_read(struct parser *parser, struct ptx_statement *statement)
{
	struct token name;

	statement->guard_negated = parser_accept(parser, '!');
	name = parser->token;
	if (name.kind != TOKEN_NAME || !parser_register_find(parser, &name, &statement->guard))
		return parser_fail(parser, "expected a predicate");
	if (!statement->guard || statement->guard->type != PTX_PRED)
		return parser_fail(parser, "expected a predicate");
	parser_advance(parser);
	return true;
}

static bool instruction_read(struct parser *parser)
{
	struct ptx_statement *statement = statement_add(parser);
	struct ptx_operand operands[PTX_OPERANDS_MAX] = {0};
	uint32_t count = 0;

	if (!statement)
		return false;
	if (parser_accept(parser, '@') && !guard_read(parser, statement))
		return false;
	if (parser->token.kind != TOKEN_NAME)
		return parser_fail(parser, "expected an instruction");
	statement->opcode = parser->token;
	parser_advance(parser);
	while (parser->token.kind == TOKEN_DOT_NAME) {
		if (statement->modifier_count == PTX_MODIFIERS_MAX)
			return parser_fail(parser, "too many modifiers");
		statement->modifiers[statement->modifier_count++] = parser->token;
		parser_advance(parser);
	}
	while (!parser_at(parser, ';')) {
		if (count == PTX_OPERANDS_MAX)
			return parser_fail(parser, "too many operands");
		if (count && !parser_expect(parser, ','))
			return false;
		if (!operand_read(parser, &operands[count], 0))
			return false;
		/* "call (ret), f, (args)" separates by commas; setp's "p|q" was read above. */
		count++;
	}
	/* Operands' names may have grown the register table, never the statement table. */
	statement->text_length = (size_t)(parser->token.text - statement->text);
	parser_advance(parser);
	statement->operand_count = count;
	if (!count)
		return true;
	statement->operands = pool_allocate_array(parser->pool, count, sizeof(*operands));
	if (!statement->operands)
		return parser_fail_memory(parser);
	memcpy(statement->operands, operands, count * sizeof(*operands));
	return true;
}

static bool prototype_read(struct parser *parser, const struct token *name)
{
	struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_PROTOTYPE);
	struct ptx_prototype *prototype = pool_allocate(parser->pool, sizeof(*prototype));
	struct ptx_function model = {.name = ""};

	if (!symbol)
		return false;
	if (!prototype)
		return parser_fail_memory(parser);
	symbol->prototype = prototype;
	struct ptx_scope *outer = parser->scope;
	struct ptx_scope *scope = pool_allocate(parser->pool, sizeof(*scope));

	if (!scope)
		return parser_fail_memory(parser);
	scope->parent = outer;
	parser->scope = scope;
	if (parser_at(parser, '(') && !parser_read_parameters(parser, &model, true))
		return false;
	if (parser->token.kind != TOKEN_NAME)
		return parser_fail(parser, "expected '_'");
	parser_advance(parser);
	if (parser_at(parser, '(') && !parser_read_parameters(parser, &model, false))
		return false;
	parser->scope = outer;
	parser_accept_dot(parser, "noreturn");
	if (model.parameter_count > PTX_CALL_ARGUMENTS_MAX)
		return parser_fail(parser, "too many parameters");
	prototype->parameter_count = model.parameter_count;
	for (uint32_t i = 0; i < model.parameter_count; i++)
		prototype->parameter_bytes[i] = (uint32_t)model.parameters[i]->bytes;
	prototype->has_return = model.return_value != NULL;
	prototype->return_bytes = model.return_value ? (uint32_t)model.return_value->bytes : 0;
	return parser_skip_to_semicolon(parser);
}

static bool targets_read(struct parser *parser, const struct token *name, bool call_targets)
{
	struct ptx_symbol *symbol = parser_symbol_add(parser, name, SYMBOL_TARGETS);
	struct ptx_targets *targets = pool_allocate(parser->pool, sizeof(*targets));
	struct lexer saved = parser->lexer;
	struct token saved_token = parser->token, saved_next = parser->next;
	uint32_t count = 0;

	if (!symbol)
		return false;
	if (!targets)
		return parser_fail_memory(parser);
	symbol->targets = targets;
	if (call_targets)
		return parser_skip_to_semicolon(parser);
	/* Once to count, once to keep. */
	for (int pass = 0; pass < 2; pass++) {
		struct token *names = NULL;

		if (pass) {
			names = pool_allocate_array(parser->pool, count, sizeof(*names));
			if (!names)
				return parser_fail_memory(parser);
			targets->names = names;
			targets->count = count;
			parser->lexer = saved;
			parser->token = saved_token;
			parser->next = saved_next;
		}
		count = 0;
		do {
			if (parser->token.kind != TOKEN_NAME)
				return parser_fail(parser, "expected a label");
			if (names)
				names[count] = parser->token;
			count++;
			parser_advance(parser);
		} while (parser_accept(parser, ','));
	}
	return parser_expect(parser, ';');
}

static bool label_read(struct parser *parser)
{
	struct token name = parser->token;

	parser_advance(parser);
	parser_advance(parser);
	if (parser_accept_dot(parser, "callprototype"))
		return prototype_read(parser, &name);
	if (parser_accept_dot(parser, "branchtargets"))
		return targets_read(parser, &name, false);
	if (parser_accept_dot(parser, "calltargets"))
		return targets_read(parser, &name, true);
	struct ptx_symbol *symbol = parser_symbol_add(parser, &name, SYMBOL_LABEL);
	struct ptx_statement *statement = statement_add(parser);

	if (!symbol || !statement)
		return false;
	symbol->label = pool_allocate(parser->pool, sizeof(*symbol->label));
	if (!symbol->label)
		return parser_fail_memory(parser);
	symbol->label->statement = parser->function->statement_count;
	statement->label = symbol->label;
	return true;
}

static bool scope_open(struct parser *parser)
{
	struct ptx_scope *scope = pool_allocate(parser->pool, sizeof(*scope));

	if (!scope)
		return parser_fail_memory(parser);
	scope->parent = parser->scope;
	scope->function = parser->function;
	parser->scope = scope;
	return true;
}

static bool body_directive_read(struct parser *parser)
{
	struct ptx_variable flags = {0};

	if (parser_accept_dot(parser, "reg"))
		return parser_read_registers(parser);
	if (parser_accept_dot(parser, "local"))
		return parser_read_variable(parser, SPACE_LOCAL, &flags);
	if (parser_accept_dot(parser, "shared"))
		return parser_read_variable(parser, SPACE_SHARED, &flags);
	if (parser_accept_dot(parser, "param"))
		return parser_read_variable(parser, SPACE_PARAM, &flags);
	if (parser_accept_dot(parser, "pragma"))
		return parser_skip_to_semicolon(parser);
	if (parser_accept_dot(parser, "section"))
		return parser_skip_section(parser);
	if (parser_accept_dot(parser, "loc")) {
		/* "1 20 5" and, since PTX 7.2, ", function_name $L, inlined_at 1 3 4": no semicolon ends it. */
		while (parser->token.kind == TOKEN_INTEGER)
			parser_advance(parser);
		while (parser_accept(parser, ',')) {
			while (parser->token.kind == TOKEN_NAME || parser->token.kind == TOKEN_INTEGER ||
			       parser_at(parser, '+')) {
				if (parser->token.kind == TOKEN_NAME && parser->next.kind != TOKEN_NAME &&
				    parser->next.kind != TOKEN_INTEGER && !token_is(&parser->token, "inlined_at") &&
				    parser->next.kind == TOKEN_PUNCTUATION && parser->next.punctuation == ':')
					break;
				bool last = parser->token.kind == TOKEN_INTEGER && parser->next.kind != TOKEN_INTEGER &&
					    !(parser->next.kind == TOKEN_PUNCTUATION &&
					      (parser->next.punctuation == '+' || parser->next.punctuation == ','));
				bool function_name = parser->token.kind == TOKEN_NAME &&
						     !token_is(&parser->token, "inlined_at") &&
						     !token_is(&parser->token, "function_name");

				parser_advance(parser);
				if (last || (function_name && !parser_at(parser, '+')))
					break;
			}
		}
		return true;
	}
	return load_fail(parser->error, ENGINE_ERROR_UNSUPPORTED_PTX, parser->token.line, "directive '.%.*s'",
			 parser->token.length < 60 ? (int)parser->token.length : 60, parser->token.text);
}

bool parser_read_body(struct parser *parser, struct ptx_function *function)
{
	unsigned depth = 1;

	(void)function;
	if (!parser_expect(parser, '{'))
		return false;
	while (depth) {
		if (parser_at(parser, '{')) {
			if (++depth > SCOPE_DEPTH_MAX)
				return parser_fail(parser, "scopes are nested too deeply");
			parser_advance(parser);
			if (!scope_open(parser))
				return false;
		} else if (parser_accept(parser, '}')) {
			depth--;
			parser->scope = parser->scope->parent;
		} else if (parser_accept(parser, ';')) {
			continue;
		} else if (parser->token.kind == TOKEN_DOT_NAME) {
			if (!body_directive_read(parser))
				return false;
		} else if (parser->token.kind == TOKEN_NAME && parser->next.kind == TOKEN_PUNCTUATION &&
			   parser->next.punctuation == ':') {
			if (!label_read(parser))
				return false;
		} else if (!instruction_read(parser)) {
			return false;
		}
	}
	return true;
}
