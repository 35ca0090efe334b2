/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser share: parser.c (declarations), parser_body.c (instructions). */
#ifndef SOFTGPU_PARSER_H
#define SOFTGPU_PARSER_H

#include "ptx.h"

struct parser {
	struct ptx_unit *unit;
	struct pool *pool;
	struct lexer lexer;
	struct token token, next;
	struct load_error *error;
	struct ptx_scope *scope;
	struct ptx_function *function; /* whose body is being read */
	unsigned depth;
};

void parser_advance(struct parser *parser);
bool parser_fail(struct parser *parser, const char *what); /* always false; names the line and the token */
bool parser_fail_memory(struct parser *parser);
bool parser_at(const struct parser *parser, char punctuation);
bool parser_accept(struct parser *parser, char punctuation);
bool parser_expect(struct parser *parser, char punctuation);
bool parser_accept_dot(struct parser *parser, const char *name);

struct ptx_symbol *parser_symbol_add(struct parser *parser, const struct token *name, enum ptx_symbol_kind kind);
bool parser_read_constant(struct parser *parser, uint64_t *ret_value, enum token_kind *ret_kind);
bool parser_read_integer(struct parser *parser, uint64_t *ret_value);
bool parser_read_variable(struct parser *parser, enum ptx_space space, struct ptx_variable *flags);
bool parser_read_parameters(struct parser *parser, struct ptx_function *function, bool returns);
bool parser_read_body(struct parser *parser, struct ptx_function *function);
bool parser_read_registers(struct parser *parser); /* after .reg */

/* Sets *ret_register to NULL when the name is no register. */
bool parser_register_find(struct parser *parser, const struct token *name, struct ptx_register **ret_register);
bool parser_skip_to_semicolon(struct parser *parser);
bool parser_skip_section(struct parser *parser);

#endif
