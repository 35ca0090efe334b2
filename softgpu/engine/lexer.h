/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of PTX text.  The lexer never allocates: a token points into the text,
 * which must outlive it.  Text is any bytes; what is no token is TOKEN_BAD.
 */
#ifndef SOFTGPU_LEXER_H
#define SOFTGPU_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,	/* add, %r1, $L__BB0_1, _ */
	TOKEN_DOT_NAME, /* .s32, .shared::cta; text excludes the dot */
	TOKEN_INTEGER,
	TOKEN_FLOAT32, /* 0f3F800000; value holds the bits */
	TOKEN_FLOAT64, /* 0d... or a decimal; value holds the bits */
	TOKEN_STRING,  /* text excludes the quotes */
	TOKEN_PUNCTUATION,
	TOKEN_BAD,
};

struct token {
	enum token_kind kind;
	char punctuation; /* of TOKEN_PUNCTUATION; '<' also stands for "<<" when doubled is set */
	bool doubled;	  /* "<<", ">>", "&&", "||", "==", "!=", "<=", ">=" */
	uint32_t line;
	const char *text;
	size_t length;
	uint64_t value;
};

struct lexer {
	const char *at;
	const char *end;
	uint32_t line;
};

void lexer_start(struct lexer *lexer, const char *text, size_t bytes);
struct token lexer_next(struct lexer *lexer);

bool token_is(const struct token *token, const char *text); /* names and dot names */

#endif
