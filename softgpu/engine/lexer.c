/* SPDX-License-Identifier: Apache-2.0 */
#include "lexer.h"

#include <stdlib.h>
#include <string.h>

enum {
	DECIMAL_FLOAT_LENGTH_MAX = 64,
};

void lexer_start(struct lexer *lexer, const char *text, size_t bytes)
{
	const char *nul = bytes ? memchr(text, 0, bytes) : NULL;

	lexer->at = text;
	lexer->end = nul ? nul : text + bytes;
	lexer->line = 1;
}

static bool letter_is(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit_is(char c)
{
	return c >= '0' && c <= '9';
}

static bool name_start_is(char c)
{
	return letter_is(c) || c == '_' || c == '$' || c == '%';
}

static bool name_continue_is(char c)
{
	return letter_is(c) || digit_is(c) || c == '_' || c == '$';
}

static int digit_value(char c)
{
	if (digit_is(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static char lexer_peek(const struct lexer *lexer, size_t ahead)
{
	return (size_t)(lexer->end - lexer->at) > ahead ? lexer->at[ahead] : '\0';
}

static bool lexer_skip_block_comment(struct lexer *lexer)
{
	lexer->at += 2;
	while (lexer->at < lexer->end) {
		if (lexer->at[0] == '*' && lexer_peek(lexer, 1) == '/') {
			lexer->at += 2;
			return true;
		}
		if (*lexer->at == '\n')
			lexer->line++;
		lexer->at++;
	}
	return false;
}

static bool lexer_skip_blanks(struct lexer *lexer)
{
	while (lexer->at < lexer->end) {
		char c = *lexer->at;

		if (c == '\n') {
			lexer->line++;
			lexer->at++;
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
			lexer->at++;
		} else if (c == '/' && lexer_peek(lexer, 1) == '/') {
			while (lexer->at < lexer->end && *lexer->at != '\n')
				lexer->at++;
		} else if (c == '/' && lexer_peek(lexer, 1) == '*') {
			if (!lexer_skip_block_comment(lexer))
				return false;
		} else if (c == '#') {
			/* Line markers of a preprocessor. */
			while (lexer->at < lexer->end && *lexer->at != '\n')
				lexer->at++;
		} else {
			break;
		}
	}
	return true;
}

static void lexer_read_decimal_float(struct lexer *lexer, struct token *token)
{
	char buffer[DECIMAL_FLOAT_LENGTH_MAX + 1];
	size_t length = 0;

	token->kind = TOKEN_BAD;
	while (length < DECIMAL_FLOAT_LENGTH_MAX) {
		char c = lexer_peek(lexer, length);
		char before = length ? buffer[length - 1] : '\0';

		if (!digit_is(c) && c != '.' && c != 'e' && c != 'E' &&
		    !((c == '-' || c == '+') && (before == 'e' || before == 'E')))
			break;
		buffer[length++] = c;
	}
	buffer[length] = '\0';

	char *end;
	double value = strtod(buffer, &end);

	if (end == buffer)
		return;
	token->kind = TOKEN_FLOAT64;
	memcpy(&token->value, &value, sizeof(value));
	lexer->at += end - buffer;
}

static void lexer_read_float_bits(struct lexer *lexer, struct token *token, enum token_kind kind, int digits)
{
	token->kind = kind;
	token->value = 0;
	lexer->at += 2;
	for (int i = 0; i < digits; i++) {
		int value = digit_value(lexer_peek(lexer, 0));

		if (value >= 16) {
			token->kind = TOKEN_BAD;
			return;
		}
		token->value = token->value << 4 | (uint64_t)value;
		lexer->at++;
	}
}

static bool decimal_float_follows(const struct lexer *lexer)
{
	size_t ahead = 0;

	while (digit_is(lexer_peek(lexer, ahead)))
		ahead++;
	char c = lexer_peek(lexer, ahead);

	if (c == '.')
		return digit_is(lexer_peek(lexer, ahead + 1)) || !name_continue_is(lexer_peek(lexer, ahead + 1));
	return (c == 'e' || c == 'E') && (digit_is(lexer_peek(lexer, ahead + 1)) ||
					  lexer_peek(lexer, ahead + 1) == '-' || lexer_peek(lexer, ahead + 1) == '+');
}

static void lexer_read_number(struct lexer *lexer, struct token *token)
{
	char second = lexer_peek(lexer, 1);
	int base = 10;

	if (*lexer->at == '0' && (second == 'f' || second == 'F')) {
		lexer_read_float_bits(lexer, token, TOKEN_FLOAT32, 8);
		return;
	}
	if (*lexer->at == '0' && (second == 'd' || second == 'D')) {
		lexer_read_float_bits(lexer, token, TOKEN_FLOAT64, 16);
		return;
	}
	if (*lexer->at == '0' && (second == 'x' || second == 'X')) {
		base = 16;
		lexer->at += 2;
	} else if (*lexer->at == '0' && (second == 'b' || second == 'B')) {
		base = 2;
		lexer->at += 2;
	} else if (decimal_float_follows(lexer)) {
		lexer_read_decimal_float(lexer, token);
		return;
	} else if (*lexer->at == '0') {
		base = 8;
	}
	token->kind = TOKEN_INTEGER;
	token->value = 0;
	const char *first = lexer->at;

	while (digit_value(lexer_peek(lexer, 0)) < base) {
		uint64_t shifted;

		if (__builtin_mul_overflow(token->value, (uint64_t)base, &shifted)) {
			token->kind = TOKEN_BAD;
			return;
		}
		token->value = shifted + (uint64_t)digit_value(*lexer->at);
		lexer->at++;
	}
	if (lexer->at == first)
		token->kind = TOKEN_BAD;
	if (lexer_peek(lexer, 0) == 'U')
		lexer->at++;
}

static void lexer_read_name(struct lexer *lexer, struct token *token)
{
	token->kind = TOKEN_NAME;
	lexer->at++;
	while (name_continue_is(lexer_peek(lexer, 0)))
		lexer->at++;
	token->length = (size_t)(lexer->at - token->text);
}

static void lexer_read_dot_name(struct lexer *lexer, struct token *token)
{
	token->kind = TOKEN_DOT_NAME;
	lexer->at++;
	token->text = lexer->at;
	for (;;) {
		char c = lexer_peek(lexer, 0);

		if (name_continue_is(c))
			lexer->at++;
		else if (c == ':' && lexer_peek(lexer, 1) == ':')
			lexer->at += 2;
		else
			break;
	}
	token->length = (size_t)(lexer->at - token->text);
}

static void lexer_read_string(struct lexer *lexer, struct token *token)
{
	lexer->at++;
	token->text = lexer->at;
	token->kind = TOKEN_BAD;
	while (lexer->at < lexer->end) {
		if (*lexer->at == '"') {
			token->kind = TOKEN_STRING;
			token->length = (size_t)(lexer->at - token->text);
			lexer->at++;
			return;
		}
		if (*lexer->at == '\n')
			lexer->line++;
		if (*lexer->at == '\\' && lexer->end - lexer->at > 1)
			lexer->at++;
		lexer->at++;
	}
}

static void lexer_read_punctuation(struct lexer *lexer, struct token *token)
{
	char c = *lexer->at;
	char next = lexer_peek(lexer, 1);

	token->kind = strchr("{}()[],;:@!|+-*/%<>=&^~?", c) ? TOKEN_PUNCTUATION : TOKEN_BAD;
	token->punctuation = c;
	token->doubled = (strchr("<>&=", c) && next == c) || (strchr("<>!", c) && next == '=');
	lexer->at += token->doubled ? 2 : 1;
}

struct token lexer_next(struct lexer *lexer)
{
	struct token token = {.kind = TOKEN_END};
	bool complete = lexer_skip_blanks(lexer);

	token.line = lexer->line;
	token.text = lexer->at;
	if (!complete) {
		token.kind = TOKEN_BAD;
		return token;
	}
	if (lexer->at >= lexer->end)
		return token;
	char c = *lexer->at;

	if (digit_is(c))
		lexer_read_number(lexer, &token);
	else if (name_start_is(c) && (c != '%' || name_start_is(lexer_peek(lexer, 1))))
		lexer_read_name(lexer, &token);
	else if (c == '.' && name_continue_is(lexer_peek(lexer, 1)))
		lexer_read_dot_name(lexer, &token);
	else if (c == '"')
		lexer_read_string(lexer, &token);
	else
		lexer_read_punctuation(lexer, &token);
	if (!token.length)
		token.length = (size_t)(lexer->at - token.text);
	return token;
}

bool token_is(const struct token *token, const char *text)
{
	return (token->kind == TOKEN_NAME || token->kind == TOKEN_DOT_NAME) && token->length == strlen(text) &&
	       memcmp(token->text, text, token->length) == 0;
}
