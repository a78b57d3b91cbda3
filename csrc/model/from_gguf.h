/* model/from_gguf: how a GGUF file names what a Llama, or a model of a family near it, is made of.
 *
 * Refused, by name: architectures that are not known, what none of them has (experts but a llama's, sliding windows in
 * some layers only, other kinds of scaled rotary embeddings, biases of the feed-forward layer), tensors of other shapes than the
 * metadata says, and tensors that are missing, too many, or of a type that cannot be read. */
#ifndef MODEL_FROM_GGUF_H
#define MODEL_FROM_GGUF_H

#include "model/checkpoint.h"

/* Fills c->config from c->gguf, which is open, and checks that all tensors are as it says. Errors: FORMAT. */
llama2_status from_gguf(checkpoint *c);

/* Of what from_gguf() has checked. */
bool from_gguf_has(const checkpoint *c, role role);

/* What GGUF calls a role's tensor; 32 bytes always suffice. */
void from_gguf_name(role role, int32_t layer, char *name, size_t capacity);

/* Whose tensor has such a name, and in which layer, 0 for roles outside the layers; ROLES where none has. */
role from_gguf_role(gguf_text name, int32_t n_layers, int32_t *layer);

/* The tensor of a role; from_gguf() has found it. */
tensor from_gguf_tensor(const checkpoint *c, role role, int32_t layer);

#endif
