/* Tiles of 16 rows of 64 bytes: AMX (Intel, Architecture Instruction Set Extensions Programming Reference, 2020). */
#define _GNU_SOURCE
#include "cpu/kernels.h"
#include "cpu/limits.h"

#ifdef KERNELS_X86
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18              /* XFEATURE_XTILEDATA */

/* Linux grants the tiles only if it saves them, so that XCR0 need not be asked. */
int limits_amx_granted(void) {
#if defined(__linux__) && __has_include(<amxint8intrin.h>)
  uint32_t a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 25 & 1)) return 0;
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return 0;
#endif
}

#if __has_include(<amxint8intrin.h>)
#include "cpu/target.h"
TARGET_BEGIN("amx-tile,amx-int8")

uint64_t limits_amx_int8(int64_t loops) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shape = {.palette = 1};
  for (int i = 0; i < 8; i++) shape.row_bytes[i] = 64, shape.rows[i] = 16;
  uint64_t tile[128];
  memset(tile, 1, sizeof tile);
  _tile_loadconfig(&shape);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, tile, 64);
  _tile_loadd(5, tile, 64);
  _tile_loadd(6, tile, 64);
  _tile_loadd(7, tile, 64);
  for (int64_t i = 0; i < loops; i++) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  uint64_t sum = 0;
  _tile_stored(0, tile, 64);
  sum ^= tile[0];
  _tile_stored(1, tile, 64);
  sum ^= tile[1];
  _tile_stored(2, tile, 64);
  sum ^= tile[2];
  _tile_stored(3, tile, 64);
  sum ^= tile[3];
  _tile_release();
  return sum;
}
TARGET_END
#else
uint64_t limits_amx_int8(int64_t loops) {
  return (uint64_t)loops;
}
#endif
#endif
