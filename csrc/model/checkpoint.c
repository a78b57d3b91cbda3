#include "model/checkpoint.h"

#include <string.h>

#include "model/from_gguf.h"

static const llama2c_kind llama2c_kinds[] = {
    [ROLE_EMBEDDING] = LLAMA2C_EMBEDDING,
    [ROLE_ATTENTION_NORM] = LLAMA2C_ATTENTION_NORM,
    [ROLE_WQ] = LLAMA2C_WQ,
    [ROLE_WK] = LLAMA2C_WK,
    [ROLE_WV] = LLAMA2C_WV,
    [ROLE_WO] = LLAMA2C_WO,
    [ROLE_FFN_NORM] = LLAMA2C_FFN_NORM,
    [ROLE_W1] = LLAMA2C_W1,
    [ROLE_W2] = LLAMA2C_W2,
    [ROLE_W3] = LLAMA2C_W3,
    [ROLE_FINAL_NORM] = LLAMA2C_FINAL_NORM,
    [ROLE_CLASSIFIER] = LLAMA2C_CLASSIFIER,
};

llama2c_kind checkpoint_kind(role role) {
  return llama2c_kinds[role];
}

bool role_layered(role role) {
  return role != ROLE_EMBEDDING && role != ROLE_FINAL_NORM && role != ROLE_CLASSIFIER && role != ROLE_ROPE_FACTORS;
}

void role_shape(const config *c, role role, int64_t *rows, int64_t *cols) {
  int64_t q = (int64_t)c->n_heads * c->head_dim, kv = (int64_t)c->n_kv_heads * c->head_dim, experts = c->n_experts;
  const int64_t shapes[ROLES][2] = {
      [ROLE_EMBEDDING] = {c->vocab_size,           c->dim         },
      [ROLE_ATTENTION_NORM] = {1,                       c->dim         },
      [ROLE_WQ] = {q,                       c->dim         },
      [ROLE_WK] = {kv,                      c->dim         },
      [ROLE_WV] = {kv,                      c->dim         },
      [ROLE_WO] = {c->dim,                  q              },
      [ROLE_FFN_NORM] = {1,                       c->dim         },
      [ROLE_W1] = {c->hidden_dim,           c->dim         },
      [ROLE_W2] = {c->dim,                  c->hidden_dim  },
      [ROLE_W3] = {c->hidden_dim,           c->dim         },
      [ROLE_FINAL_NORM] = {1,                       c->dim         },
      [ROLE_CLASSIFIER] = {c->vocab_size,           c->dim         },
      [ROLE_ROUTER] = {c->n_experts,            c->dim         },
      [ROLE_EXPERTS_W1] = {experts * c->hidden_dim, c->dim         },
      [ROLE_EXPERTS_W2] = {experts * c->dim,        c->hidden_dim  },
      [ROLE_EXPERTS_W3] = {experts * c->hidden_dim, c->dim         },
      [ROLE_BQ] = {1,                       q              },
      [ROLE_BK] = {1,                       kv             },
      [ROLE_BV] = {1,                       kv             },
      [ROLE_BO] = {1,                       c->dim         },
      [ROLE_Q_NORM] = {1,                       c->head_dim    },
      [ROLE_K_NORM] = {1,                       c->head_dim    },
      [ROLE_ROPE_FACTORS] = {1,                       c->rope_dim / 2},
  };
  *rows = shapes[role][0];
  *cols = shapes[role][1];
}

static uint64_t count_parameters(const checkpoint *c) {
  uint64_t n = 0;
  for (role r = 0; r < ROLES; r++) {
    if (!checkpoint_has(c, r) || r == ROLE_ROPE_FACTORS) continue;
    tensor t = checkpoint_tensor(c, r, 0);
    n += (uint64_t)(t.rows * t.cols) * (role_layered(r) ? (uint64_t)c->config.n_layers : 1);
  }
  return n;
}

llama2_status checkpoint_open_file(checkpoint *c, const char *path) {
  static const char *const formats[] = {"llama2.c v0", "llama2.c v1", "llama2.c v2"};
  memset(c, 0, sizeof *c);
  c->is_gguf = gguf_recognise(path);
  c->architecture = "llama";
  if (c->is_gguf) {
    RETURN_IF_FAILED(gguf_open(&c->gguf, path));
    c->format = c->gguf.version == 2 ? "GGUF v2" : "GGUF v3";
    c->bytes = c->gguf.bytes;
  } else {
    RETURN_IF_FAILED(llama2c_open(&c->llama2c, path));
    c->format = formats[c->llama2c.version];
    c->bytes = c->llama2c.file.size;
  }
  return LLAMA2_OK;
}

static config from_llama2c(const llama2c_file *f) {
  return (config){
      .dim = f->dim,
      .hidden_dim = f->hidden_dim,
      .n_layers = f->n_layers,
      .n_heads = f->n_heads,
      .n_kv_heads = f->n_kv_heads,
      .head_dim = f->head_dim,
      .vocab_size = f->vocab_size,
      .context = f->context,
      .norm_eps = 1e-5f,
      .rope_theta = 10000.0f,
      .rope_dim = f->head_dim,
      .rope_scaling = {.magnitude = 1},
      .shared_classifier = f->shared_classifier,
      .kv = LLAMA2_F32,
  };
}

static llama2_status describe(checkpoint *c) {
  llama2_status status = LLAMA2_OK;
  if (c->is_gguf)
    status = from_gguf(c);
  else
    c->config = from_llama2c(&c->llama2c);
  if (status != LLAMA2_OK)
    checkpoint_close(c);
  else
    c->parameters = count_parameters(c);
  return status;
}

llama2_status checkpoint_open(checkpoint *c, const char *path) {
  RETURN_IF_FAILED(checkpoint_open_file(c, path));
  return describe(c);
}

llama2_status checkpoint_open_source(checkpoint *c, const llama2_source *source) {
  *c = (checkpoint){.is_gguf = true, .format = "source"};
  RETURN_IF_FAILED(source_open(source, &c->gguf));
  c->bytes = c->gguf.bytes;
  return describe(c);
}

void checkpoint_close(checkpoint *c) {
  if (c->is_gguf)
    gguf_close(&c->gguf);
  else
    llama2c_close(&c->llama2c);
  memset(c, 0, sizeof *c);
}

bool checkpoint_has(const checkpoint *c, role role) {
  if (c->is_gguf) return from_gguf_has(c, role);
  return role < ROLE_CLASSIFIER || (role == ROLE_CLASSIFIER && !c->config.shared_classifier);
}

tensor checkpoint_tensor(const checkpoint *c, role role, int32_t layer) {
  return c->is_gguf ? from_gguf_tensor(c, role, layer) : llama2c_tensor(&c->llama2c, llama2c_kinds[role], layer);
}

void checkpoint_done(const checkpoint *c, const tensor *t) {
  if (c->is_gguf)
    gguf_done(&c->gguf, t);
  else
    file_done(t->data, t->bytes);
}
