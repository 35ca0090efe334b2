/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results for people: a list as a table, an object as lines. Names come from guests: control characters are replaced,
 * so that none reaches the terminal.
 */
#ifndef ADMIN_PRINT_H
#define ADMIN_PRINT_H

#include <jansson.h>
#include <stdio.h>

void print_text(FILE *file, const char *text);

/* The text padded to so many columns; 0: as long as it is. */
void print_padded(FILE *file, const char *text, int width);

/* Exactly so many columns of it. */
void print_cut(FILE *file, const char *text, int width);

void print_result(FILE *file, const json_t *result);

#endif
