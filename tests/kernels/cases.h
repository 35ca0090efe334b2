/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of cases, one a file; each ends with a NULL name. */
#ifndef TESTS_KERNELS_CASES_H
#define TESTS_KERNELS_CASES_H

#include "trial.h"

extern const struct trial_case cases_sums[];
extern const struct trial_case cases_dense[];
extern const struct trial_case cases_fields[];
extern const struct trial_case cases_sorting[];
extern const struct trial_case cases_bits[];
extern const struct trial_case cases_mathematics[];
extern const struct trial_case cases_rounding[];
extern const struct trial_case cases_half[];
extern const struct trial_case cases_memory[];
extern const struct trial_case cases_control[];
extern const struct trial_case cases_calls[];
extern const struct trial_case cases_atomics[];
extern const struct trial_case cases_warp[];
extern const struct trial_case cases_arrays[];
extern const struct trial_case cases_textures[];
extern const struct trial_case cases_surfaces[];

#endif
