#include "engine/forward.h"

void forward(const backend *b, void *lane, const step *s) {
  b->embed(lane, s);
  for (int32_t layer = 0; layer < s->n_layers; layer++) {
    b->qkv(lane, s, layer);
    b->attend(lane, s, layer);
    b->attn_out(lane, s, layer);
    b->ffn_up(lane, s, layer);
    b->ffn_down(lane, s, layer);
  }
  b->head(lane, s);
}
