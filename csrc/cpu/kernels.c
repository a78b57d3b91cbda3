#define _DEFAULT_SOURCE /* syscall() */
#include "cpu/kernels.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#ifdef KERNELS_X86
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define BIT(word, n) ((word) >> (n)&1)

/* Which registers the operating system saves when it switches threads (XCR0). */
static uint64_t saved_state(void) {
  uint32_t low, high;
  __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static bool has_avx2(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  bool fma = BIT(c, 12), osxsave = BIT(c, 27), avx = BIT(c, 28), f16c = BIT(c, 29);
  if (!fma || !osxsave || !avx || !f16c || (saved_state() & 0x6) != 0x6) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && BIT(b, 5);
}

static bool has_avx512(void) {
  uint32_t a, b, c, d;
  if (!has_avx2() || (saved_state() & 0xe6) != 0xe6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return BIT(b, 16) && BIT(b, 17) && BIT(b, 30) && BIT(b, 31) && BIT(c, 11); /* F, DQ, BW, VL, VNNI */
}

/* The system lets a process use tile registers when it asks. */
static bool has_amx(void) {
#ifdef __linux__
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  uint32_t a, b, c, d;
  if (!has_avx512() || (saved_state() & 0x60000) != 0x60000 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return BIT(d, 24) && BIT(d, 25) && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}
#elif defined(KERNELS_ARM)
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* With the dot products of ARMv8.2. */
static bool has_neon(void) {
#if defined(__linux__)
  return getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP, which older headers lack */
#elif defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) == 0 && has;
#else
  return false;
#endif
}
#endif

static bool has_scalar(void) {
  return true;
}

/* The best first. */
static const struct {
  const kernels *table;
  bool (*present)(void);
} known[] = {
#ifdef KERNELS_X86
    {&kernels_amx,    has_amx   },
    {&kernels_avx512, has_avx512},
    {&kernels_avx2,   has_avx2  },
#elif defined(KERNELS_ARM)
    {&kernels_neon, has_neon},
#endif
    {&kernels_scalar, has_scalar},
};

#define N_KNOWN (sizeof known / sizeof *known)

static const kernels *best(void) {
  size_t i = 0;
  while (!known[i].present()) i++;
  return known[i].table;
}

const char *kernels_best(void) {
  return best()->isa;
}

llama2_status kernels_find(const char *isa, const kernels **found) {
  const char *from = "isa";
  if (!isa || !*isa) {
    isa = getenv("LLAMA2_ISA");
    from = "LLAMA2_ISA";
  }
  if (!isa || !*isa) {
    *found = best();
    return LLAMA2_OK;
  }
  for (size_t i = 0; i < N_KNOWN; i++) {
    if (strcmp(known[i].table->isa, isa) != 0 || !known[i].present()) continue;
    *found = known[i].table;
    return LLAMA2_OK;
  }
  return status_fail(
      LLAMA2_ERR_DEVICE,
      "%s: this machine has no instruction set '%s'; the best it has, of scalar, avx2, avx512, amx and neon, is %s",
      from, isa, kernels_best());
}

kv_form kv_form_of(int32_t dtype, int64_t head_dim) {
  kv_form f = {.dtype = dtype, .head_dim = head_dim, .head_pad = round_up(head_dim, LANES)};
  uint64_t size = dtype == LLAMA2_F32 ? 4 : dtype == LLAMA2_F16 ? 2 : 1;
  uint64_t scales = dtype == LLAMA2_Q8_0 ? (uint64_t)ceil_div(head_dim, QBLOCK) * KV_PAGE * 2 : 0;
  f.values = (uint64_t)head_dim * KV_PAGE * size;
  f.key_scales = f.values + (uint64_t)f.head_pad * KV_PAGE * size;
  f.value_scales = f.key_scales + scales;
  f.bytes = size_round_up(f.value_scales + scales, 64);
  return f;
}

void kernels_attend(const kernels *k, const attend_job *job) {
  float *parts = job->scratch + attend_scratch(job->form->head_pad) - ATTEND_QUERIES * attend_part(job->form->head_pad);
  float *sums = parts - ATTEND_QUERIES * attend_part(job->form->head_pad);
  int32_t first = job->first[0], limit = job->limit[0];
  for (int32_t j = 1; j < job->n; j++) {
    if (job->first[j] < first) first = job->first[j];
    if (job->limit[j] > limit) limit = job->limit[j];
  }
  for (int64_t begin = first / ATTEND_KEYS, run = begin; run * ATTEND_KEYS < limit; run++) {
    k->attend_run(job, run, run == begin ? sums : parts);
    if (run > begin) k->attend_add(job, run, sums, parts);
  }
  k->attend_end(job, sums);
}
