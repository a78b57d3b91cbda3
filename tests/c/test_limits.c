/* test_limits: every instruction set that this machine has can be measured. */
#include "check.h"

#include <math.h>

#include "cpu/kernels.h"
#include "cpu/limits.h"

int main(void) {
  const char *names[] = {"scalar", "avx2", "avx512", "amx", "neon"};
  for (int i = 0; i < 5; i++) {
    const kernels *k;
    llama2_limits limits;
    if (kernels_find(names[i], &k) != LLAMA2_OK) continue;
    CHECK(limits_measure(names[i], 1, 1 << 20, &limits) == LLAMA2_OK);
    CHECK(strcmp(limits.isa, names[i]) == 0 && limits.threads == 1);
    CHECK(isfinite(limits.read_bytes) && limits.read_bytes > 0);
    CHECK(isfinite(limits.f32_ops) && limits.f32_ops > 0);
    CHECK(isfinite(limits.int8_ops) && limits.int8_ops > 0);
  }
  return checks_end("test_limits");
}
