/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the list of guests is right, for an operator who asks. */
#ifndef XEN_GRANTS_CHECK_H
#define XEN_GRANTS_CHECK_H

#define GRANTS_EXIT_WRONG 2

/*
 * Looks at each line of the list, and has this program look at the options of those that are its own. What is wrong
 * goes to standard error with the line's number; nothing is started. The exit code: 0 or GRANTS_EXIT_WRONG.
 */
int grants_check(const char *list);

#endif
