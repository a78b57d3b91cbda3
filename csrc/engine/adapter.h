/* engine/adapter: adapters in memory, and the sets of them that sequences have. */
#ifndef ENGINE_ADAPTER_H
#define ENGINE_ADAPTER_H

#include "engine/model.h"

#define RANKS_DEFAULT 256
#define RANKS_MOST (1 << 20)
#define ROOTS 64 /* sets whose pages can be found */

struct llama2_adapter {
  const llama2_model *model;
  const backend *backend;
  void *packed;    /* the backend's */
  uint64_t serial; /* which it is, never used again */
  llama2_adapter_info info;
};

/* Which sets of adapters an engine's requests had of late, and what the first page of their sequences comes after: pages are
 * found by requests of the same set alone. Adapters are told apart by their serials, which outlive them. */
typedef struct adapter_roots {
  struct adapter_root {
    int32_t n;
    struct {
      uint64_t serial;
      float scale;
    } of[LLAMA2_ADAPTERS_MOST];
    uint64_t root; /* no page has such a serial */
    uint64_t used; /* when last */
  } roots[ROOTS];
  uint64_t last_root, uses;
} adapter_roots;

/* Each is documented at its llama2_adapter_… in llama2.h. source: NULL, or what is read instead of the file at `path`. */
llama2_status adapter_load(const llama2_model *model, const char *path, const llama2_source *source,
                           llama2_adapter **adapter);
void adapter_free(llama2_adapter *adapter);

/* What adapters[0..n) are to rows of a model's steps in a state of such limits. Errors: ARGUMENT. */
llama2_status adapter_set_of(const llama2_model *model, const limits *l, const llama2_adapted *adapters, int32_t n,
                             adapter_set *set);

/* The root of adapters[0..n), 0 for none. A set that was long not asked for may get another than it had. */
uint64_t adapter_root(adapter_roots *roots, const llama2_adapted *adapters, int32_t n);

/* A number that tells what adapters[0..n) hold from other adapters, on every machine; 0 for none. */
uint64_t adapter_hash(const llama2_adapted *adapters, int32_t n);

#endif
