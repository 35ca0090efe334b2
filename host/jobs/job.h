/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: a JSON object that names an operation and its data, answered by a JSON
 * object with "result" or "error".  Knows nothing of how it came: a transport
 * hands over bytes and gets bytes.
 *
 *   {"operation": "vector_add", "array_a": [1,2,3], "array_b": [4,5,6]}       {"result": [5,7,9]}
 *   {"operation": "saxpy", "scalar": 2, "array_a": [...], "array_b": [...]}   scalar * a + b
 *   {"operation": "dot", "array_a": [...], "array_b": [...]}                  a number
 *   {"operation": "reduce", "array_a": [...], "reduction": "sum|min|max"}     a number
 *   {"operation": "matmul", "matrix_a": [[...],...], "matrix_b": [[...],...]} rows
 *   {"operation": "ptx", "ptx": "...", "kernel": "name", "grid": [x,y,z], "block": [x,y,z],
 *    "arguments": [{"type": "f32", "value": 1}, {"type": "f32", "values": [...]},
 *                  {"type": "f64", "count": 8, "output": true}]}              a list for each output
 *
 * An "id" (text or whole number) comes back in the answer.  Types are f32, f64, i32,
 * u32, i64 and u64.  Numbers are JSON's: there is no NaN and no infinity, in neither direction.
 */
#ifndef JOBS_JOB_H
#define JOBS_JOB_H

#include <stddef.h>

#include "gpu.h"

#define JOB_BYTES_MAX	  (4u << 20) /* of a request */
#define JOB_ELEMENTS_MAX  (1u << 20) /* of an array, inputs and outputs alike; of all outputs together */
#define JOB_ARGUMENTS_MAX 32

/* The byte before an answer, between a runner and vgpu-jobs. */
#define RUNNER_ANSWER	   '+'
#define RUNNER_LAST_ANSWER '-' /* the runner ends: its GPU context is lost */

/* The answer, to be freed; NULL when out of memory. */
char *job_answer(struct gpu *gpu, const char *request, size_t bytes);

#endif
