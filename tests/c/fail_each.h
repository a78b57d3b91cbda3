/* fail_each: each allocation of an attempt fails in turn. */
#ifndef FAIL_EACH_H
#define FAIL_EACH_H

#include "failing_memory.h"

/* `attempt` must succeed if nothing fails; it makes at least `least` allocations, so that there is something to fail.
 * When one does, the status is MEMORY, the error says how much was wanted, and nothing is left behind. */
static void fail_each(const char *name, llama2_status (*attempt)(void), long least) {
  long before = alive;
  allocations = 0;
  CHECK_THAT(attempt() == LLAMA2_OK, "%s: %s", name, llama2_last_error()->message);
  CHECK_THAT(alive == before, "%s leaves %ld blocks", name, alive - before);
  long n = allocations;
  CHECK_THAT(n >= least, "%s made %ld allocations", name, n);
  for (fail_at = 0; fail_at < n; fail_at++) {
    allocations = 0;
    llama2_status status = attempt();
    CHECK_THAT(status == LLAMA2_ERR_MEMORY, "%s: allocation %ld of %ld failed, the status is %d", name, fail_at, n,
               status);
    CHECK_THAT(alive == before, "%s: allocation %ld of %ld failed, %ld blocks are left", name, fail_at, n,
               alive - before);
    const llama2_error *error = llama2_last_error();
    CHECK_THAT(error->status == LLAMA2_ERR_MEMORY && error->required > 0, "%s: %s", name, error->message);
  }
  fail_at = -1;
  CHECK(attempt() == LLAMA2_OK);
}

#endif
