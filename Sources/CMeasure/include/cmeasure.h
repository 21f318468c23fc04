// SPDX-License-Identifier: MIT
#ifndef CMEASURE_H
#define CMEASURE_H
#include <stdint.h>

/// Heap allocations of this process since it began, by every thread and library in it: linking this target
/// puts a counter before malloc and its kin.
uint64_t cmeasure_allocations(void);

/// Opens a counter of this thread's instructions in user mode. Returns its descriptor, or -errno where the
/// kernel, the machine or a container does not allow one.
int cmeasure_open_instructions(void);

/// Reads a counter opened above; 0 when it cannot be read.
uint64_t cmeasure_read(int descriptor);

#endif
