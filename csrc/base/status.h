/* base/status: how a function says that it failed. Owns the calling thread's last error. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "../llama2.h"

/* Records one line for the calling thread and returns `status`, so that a failure reads `return status_fail(…)`. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
llama2_status
status_fail(llama2_status status, const char *format, ...);

/* The same with the numbers that callers act on: bytes or tokens. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
llama2_status
status_fail_sized(llama2_status status, uint64_t required, uint64_t available, const char *format, ...);

/* The same with the system's error behind it. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
llama2_status
status_fail_system(llama2_status status, int system, const char *format, ...);

/* Leaves the function with the status of a call that failed. */
#define RETURN_IF_FAILED(call)                \
  do {                                        \
    llama2_status status_ = (call);           \
    if (status_ != LLAMA2_OK) return status_; \
  } while (0)

#endif
