// SPDX-License-Identifier: MIT
#ifndef CMEASURE_H
#define CMEASURE_H
#include <stdbool.h>
#include <stdint.h>

/// Heap allocations of the calling thread since it began, by every library in the process: linking this
/// target puts a counter before malloc and its kin.
uint64_t cmeasure_allocations(void);

/// Whether they are counted: not beside a sanitizer, which has a malloc of its own.
bool cmeasure_counts(void);

#endif
