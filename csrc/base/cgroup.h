/* base/cgroup: what the control groups that this process is in allow it, from its own group up to the root. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdint.h>

/* Bytes that may still be taken under the tightest memory limit, page cache counted as free since it is given up on demand;
 * UINT64_MAX where there is no limit. */
uint64_t cgroup_memory_left(void);

/* Cores' worth of processor time under the tightest quota, rounded up; INT32_MAX where there is none. */
int32_t cgroup_cores(void);

#endif
