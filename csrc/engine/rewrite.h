/* engine/rewrite: a checkpoint read tensor by tensor and written to a new file, whatever its format. */
#ifndef ENGINE_REWRITE_H
#define ENGINE_REWRITE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/file.h"
#include "base/threads.h"
#include "model/checkpoint.h"
#include "model/listing.h"

/* One that is under way. Fill with zeros to start, and end with rewrite_close(), whatever came of it. */
typedef struct rewrite {
  const char *path; /* of the checkpoint */
  const llama2_quantize_options *options;
  checkpoint checkpoint;
  uint64_t total; /* bytes of the new file */
  file_out out;
  void *memory; /* of the team */
  team *team;
  unsigned char *strip; /* some values on their way */
  atomic_int cancel;
} rewrite;

/* Opens the checkpoint; source: NULL, or what is read instead of the file `in`. Errors: ARGUMENT (also that `out` is what
 * is read from), IO, FORMAT, MEMORY. */
llama2_status rewrite_open(rewrite *r, const char *in, const llama2_source *source, const char *out,
                           const llama2_quantize_options *options);
void rewrite_close(rewrite *r);

/* Begins the file `out` of r->total bytes. Errors: IO, MEMORY. */
llama2_status rewrite_begin(rewrite *r, const char *out);

/* Appends all values of a tensor as type `to`, LLAMA2_Q8_F in groups of `group` values and with its scales behind all of
 * them. Once cancelled it does nothing. Errors: IO, NUMERIC (a value that is not finite), MEMORY. */
llama2_status rewrite_tensor(rewrite *r, const listed *item, int32_t to, int64_t group);

/* Tells the caller of a tensor that was written; plan->name is filled here. Errors: MEMORY. */
llama2_status rewrite_tell(rewrite *r, const listed *item, llama2_quantized *plan);

/* The file is whole, if `status` says so and nobody has cancelled, and takes its name; else nothing is left of it. Returns
 * that status. Errors: IO, CANCELLED. */
llama2_status rewrite_end(rewrite *r, llama2_status status);

#endif
