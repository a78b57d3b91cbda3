/* model/contents: what is in a checkpoint, whether or not it can be run. */
#ifndef MODEL_CONTENTS_H
#define MODEL_CONTENTS_H

#include "model/listing.h"

struct llama2_file {
  checkpoint checkpoint; /* its config is not filled */
  listing listing;
};

/* Each is documented at its llama2_file_… in llama2.h; indices are checked there. */
llama2_status contents_open(const char *path, llama2_file **file);
void contents_free(llama2_file *file);
llama2_file_info contents_describe(const llama2_file *file);
llama2_key contents_key(const llama2_file *file, uint64_t index);
llama2_tensor contents_tensor(const llama2_file *file, uint64_t index);

#endif
