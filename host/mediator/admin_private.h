/* SPDX-License-Identifier: Apache-2.0 */
/* What the files with administrators' commands share. */
#ifndef MEDIATOR_ADMIN_PRIVATE_H
#define MEDIATOR_ADMIN_PRIVATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin.h"
#include "mediator.h"
#include "store.h"

#define ADMIN_VALUE_BYTES 256

struct admin_request {
	struct mediator *mediator;
	const char *who;
	const json_t *arguments;
	json_t *result;	  /* NULL: an empty object */
	json_t *warnings; /* NULL: none */
	const char *code;
	char error[512];
};

/* 0; or -1, after admin_fail(). */
typedef int admin_handler(struct admin_request *request);

struct admin_command {
	const char *name;
	const char *arguments; /* names that it knows, with a space after each */
	admin_handler *handler;
	bool only_looks; /* readers may, for it changes nothing */
};

/* NULL-terminated, by name. */
extern const struct admin_command admin_list_commands[];
extern const struct admin_command admin_vm_commands[];
extern const struct admin_command admin_pool_commands[];
extern const struct admin_command admin_show_commands[];
extern const struct admin_command admin_usage_commands[];

/* -1, to be returned. */
int admin_fail(struct admin_request *request, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * What was asked for is done, but the operator should know something: it is in the result as one of "warnings", and in
 * the log. Not for results that are lists.
 */
void admin_warn(struct admin_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same by what the store answered; 0 for STORE_DONE. 'what' is what was not found. */
int admin_store_check(struct admin_request *request, enum store_result result, const char *what);

/* Is the argument there? */
bool admin_has(const struct admin_request *request, const char *name);
/* Copies the argument's text; fails where there is none, or where it is empty or too long. */
int admin_text(struct admin_request *request, const char *name, char *ret_text, size_t bytes);
int admin_number(struct admin_request *request, const char *name, uint64_t minimum, uint64_t maximum,
		 uint64_t *ret_number);
int admin_pool_letter(struct admin_request *request, const char *name, char *ret_pool);

/*
 * The tenant that the argument "vm" means, by vm_id, UUID, name or key; one without settings of its own as well, if it
 * is connected or named by its key.
 */
int admin_tenant(struct admin_request *request, struct store_tenant *ret_tenant);

/* The name of a connected VM, or "". */
const char *admin_live_name(const struct mediator *mediator, uint32_t vm_id);

/* Of VMs and other tenants (admin_list.c). */

/* What it is called in lists: "3", or the key of another tenant. */
json_t *admin_vm_reference(const struct store_tenant *tenant);
const char *admin_vm_name(const struct mediator *mediator, const struct store_tenant *tenant);
/* In force, or 0: a VM has none before it connects and says which. */
char admin_vm_pool(const struct mediator *mediator, const struct store_tenant *tenant);
/* In force. 0, or -1 after admin_fail(). */
int admin_vm_settings(struct admin_request *request, const struct store_tenant *tenant,
		      struct tenant_settings *ret_settings);
bool admin_is_quarantined(struct mediator *mediator, const char *key, struct store_quarantine *ret_quarantine);

/* Warns if programs of the pool cannot start, for it has no GPU (admin_pool.c). */
void admin_pool_warn(struct admin_request *request, char pool);

/* "low", "medium", "high" */
const char *admin_priority_name(int64_t priority);

/* Of text that may not be UTF-8: what is not printable ASCII is replaced then. */
json_t *admin_string(const char *text);

/* A time as ISO 8601 text; "" for 0. */
json_t *admin_time(int64_t seconds);

#endif
