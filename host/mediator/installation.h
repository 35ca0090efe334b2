/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the files of this project lie, seen from the running program: in a
 * build tree or installed.
 */
#ifndef MEDIATOR_INSTALLATION_H
#define MEDIATOR_INSTALLATION_H

/*
 * The first of 'places' (relative to the program's folder, NULL-terminated) that exists, as an
 * absolute path to free; NULL with errno when there is none.
 */
char *installation_file_find(const char *const *places);

#endif
