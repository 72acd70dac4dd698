/* run_model LIBRARY MODEL IN OUT: opens the engine and runs a model of one input and one output on raw bytes. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "lite_runtime.h"

static const char* (*last_error)(void);

static void check(int failed, const char* what) {
  if (!failed) return;
  fprintf(stderr, "%s: %s\n", what, last_error ? last_error() : dlerror());
  exit(1);
}

static void* get(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  check(symbol == NULL, name);
  return symbol;
}

int main(int argc, char** argv) {
  check(argc != 5, "four arguments are needed");
  void* library = dlopen(argv[1], RTLD_NOW);
  check(library == NULL, argv[1]);
  last_error = (const char* (*)(void))get(library, "lr_last_error");
#define BIND(name) __typeof__(&name) p_##name = (__typeof__(&name))get(library, #name)
  BIND(lr_model_load_file);
  BIND(lr_model_free);
  BIND(lr_session_create);
  BIND(lr_session_free);
  BIND(lr_session_input);
  BIND(lr_session_output);
  BIND(lr_session_run);
  lr_model* model;
  lr_session* session;
  lr_tensor tensor;
  check(p_lr_model_load_file(argv[2], &model), argv[2]);
  check(p_lr_session_create(model, NULL, &session), "session");
  check(p_lr_session_input(session, 0, &tensor), "input");
  FILE* in = fopen(argv[3], "rb");
  check(in == NULL || fread(tensor.data, 1, tensor.bytes, in) != tensor.bytes, argv[3]);
  fclose(in);
  check(p_lr_session_run(session), "run");
  check(p_lr_session_output(session, 0, &tensor), "output");
  FILE* out = fopen(argv[4], "wb");
  check(out == NULL || fwrite(tensor.data, 1, tensor.bytes, out) != tensor.bytes, argv[4]);
  fclose(out);
  p_lr_session_free(session);
  p_lr_model_free(model);
  return 0;
}
