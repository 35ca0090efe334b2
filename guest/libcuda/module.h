/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules and libraries: objects with a struct owner as their detail, which has
 * the functions or kernels that were asked for by name.  The same name gives the
 * same handle, as with the real driver.
 */
#ifndef VGPU_GUEST_MODULE_H
#define VGPU_GUEST_MODULE_H

#include <pthread.h>

#include "function.h"
#include "object.h"

#define OWNER_BUCKETS 64

struct managed_variables;

struct owner {
	pthread_mutex_t mutex; /* held across the request for a new name */
	struct object *object;
	struct function *buckets[OWNER_BUCKETS];
	struct managed_variables *managed; /* NULL: none that the program can reach */
	const void *preserved; /* a library's image, whose managed variables have not been asked for; NULL: else */
	struct owner *library; /* of a module that is part of one, else NULL */
	struct owner *modules; /* of a library: one for each context in which it was asked for */
	struct owner *next;    /* on that list */
};

/* A new module or library, of 'context' (0: of all), and its object; NULL: out of memory. */
struct owner *owner_new(enum vgpu_kind kind, uint32_t context);
/* Ends the owner with all that it has, modules of a library included; releases the object. */
void owner_free(struct owner *owner);
/* The same for an owner that no other thread can have seen; a library's mutex may be held. */
void owner_abandon(struct owner *owner);
/* Has nothing been made of it? With its mutex held. */
bool owner_is_unused(const struct owner *owner);
struct owner *owner_find(const void *handle, enum vgpu_kind kind);

/*
 * The function of a module, or the kernel of a library, by its name. 'ask' requests it from the host
 * under a new id when it is asked for the first time.
 */
typedef CUresult (*owner_ask)(uint32_t context, uint32_t id, uint32_t owner, const char *name);
CUresult owner_function(struct owner *owner, enum vgpu_kind kind, uint32_t context, const char *name, owner_ask ask,
			struct object **ret_object);

/* The names from the host, one NUL-terminated after the other; they begin at number 'first' of 'count'. */
typedef CUresult (*owner_list)(uint32_t context, uint32_t owner, uint32_t first, uint32_t *count, void *names,
			       uint32_t names_capacity, uint32_t *names_bytes);
/* At most 'wanted' handles; *ret_count is how many there are in all. 'handles' may be NULL if none are wanted. */
CUresult owner_enumerate(struct owner *owner, enum vgpu_kind kind, uint32_t context, owner_list list, owner_ask ask,
			 uint32_t wanted, void **handles, uint32_t *ret_count);

/* A library's module in the current context. */
CUresult library_module(struct owner *library, uint32_t context, CUmodule *ret_module);

/* The modules of a context end with it. */
void modules_forget_context(uint32_t context);

/* The longest name that fits a request. */
#define NAME_BYTES_MAX (16u << 10)

#endif
