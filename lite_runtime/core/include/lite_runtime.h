/* C interface of lite_runtime: the engine's only boundary.
 *
 * Every function that can fail returns an lr_status; lr_last_error() then describes the failure of
 * the calling thread. No C++ exception crosses this interface. Handles are opaque.
 *
 * Threads: an lr_model is immutable and may be shared by any number of threads and sessions. An
 * lr_session must be used by one thread at a time; sessions of one model share its weights.
 */
#ifndef LITE_RUNTIME_H_
#define LITE_RUNTIME_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define LR_API __declspec(dllexport)
#else
#define LR_API __attribute__((visibility("default")))
#endif

#define LR_MAX_RANK 8

typedef enum lr_status {
  LR_OK = 0,
  LR_ERROR_FILE = 1,        /* the file cannot be opened or read */
  LR_ERROR_FORMAT = 2,      /* the bytes are not a valid .ms model */
  LR_ERROR_UNSUPPORTED = 3, /* a valid model that needs an operator, attribute or type not offered */
  LR_ERROR_SHAPE = 4,       /* shapes or dtypes do not fit the model or each other */
  LR_ERROR_ARGUMENT = 5,    /* the caller passed a wrong argument */
  LR_ERROR_MEMORY = 6,      /* out of memory, or a model that asks for an absurd amount */
  LR_ERROR_RUN = 7          /* a value met at run time is invalid, for example an index out of range */
} lr_status;

typedef struct lr_model lr_model;
typedef struct lr_session lr_session;

typedef struct lr_options {
  uint32_t struct_size;  /* sizeof(lr_options), for compatibility */
  int32_t threads;       /* 0: number of cores the process may use */
  int32_t infer_only;    /* 1: infer shapes and stop; the session cannot run */
  int32_t affinity_mode; /* 0: no binding, 1: big cores first, 2: little cores first */
  int32_t half;          /* 1: compute in float16 where the CPU does (64-bit ARM) and values allow */
  /* Explicit core list; overrides affinity_mode. One core per thread; the first is the caller's while it runs. */
  const int32_t* cores;
  size_t core_count;
} lr_options;

/* A tensor as seen from outside. Strings and data stay valid until the session is resized or freed. */
typedef struct lr_tensor {
  const char* name;          /* "" when the model names none */
  int32_t dtype;             /* TypeId: 30 bool, 32 int8, ... 43 float32 (see DataType) */
  int32_t format;            /* 0 NCHW, 1 NHWC, ... as stored in the file; -1 unknown */
  int32_t rank;              /* -1: not known before the model runs */
  int64_t dims[LR_MAX_RANK]; /* -1: not known before lr_session_resize */
  void* data;                /* NULL when there is no value (yet) */
  size_t bytes;              /* size of data */
} lr_tensor;

/* Shape of one input for lr_session_resize. */
typedef struct lr_shape {
  int32_t rank;
  int64_t dims[LR_MAX_RANK];
} lr_shape;

LR_API const char* lr_version(void);
/* Message of the last failure on this thread; valid until the next call on this thread. */
LR_API const char* lr_last_error(void);
/* Name of the instruction-set tier in use: "scalar", "sse2", "avx2", "neon", ... */
LR_API const char* lr_isa(void);
/* 1 if the engine implements the primitive with this number in the PrimitiveType union. */
LR_API int lr_op_supported(int32_t primitive_type);

/* Maps the file and verifies it. */
LR_API lr_status lr_model_load_file(const char* path, lr_model** model);
/* Maps length bytes (-1: to the end) from offset of an open file, for example an asset stored uncompressed in an
 * Android package, and verifies them. The descriptor stays the caller's and may be closed afterwards. At an
 * offset that is no multiple of 8 the model is copied, since its numbers are read in place. */
LR_API lr_status lr_model_load_fd(int fd, int64_t offset, int64_t length, lr_model** model);
/* Verifies size bytes at data. With copy == 0 the bytes must outlive the model. */
LR_API lr_status lr_model_load_buffer(const void* data, size_t size, int copy, lr_model** model);
LR_API void lr_model_free(lr_model* model);

/* A node of the model, by its index in the file. */
typedef struct lr_node {
  const char* name;
  const char* op;    /* name in the PrimitiveType union */
  int32_t primitive; /* its number there */
  int32_t quantized; /* 1: it computes on quantised integers, by an operator made for them */
} lr_node;
LR_API size_t lr_model_node_count(const lr_model* model);
LR_API lr_status lr_model_node(const lr_model* model, size_t index, lr_node* node);

LR_API lr_status lr_session_create(lr_model* model, const lr_options* options, lr_session** session);
LR_API void lr_session_free(lr_session* session);
/* 1 if this CPU computes in float16 and the best tier is in use. */
LR_API int lr_offers_half(void);
/* 1 if the next run computes in float16: the session was asked to, CPU and model suit it, and no run has overflowed. */
LR_API int lr_session_uses_half(const lr_session* session);

LR_API size_t lr_session_input_count(const lr_session* session);
LR_API size_t lr_session_output_count(const lr_session* session);
LR_API lr_status lr_session_input(lr_session* session, size_t index, lr_tensor* tensor);
LR_API lr_status lr_session_output(lr_session* session, size_t index, lr_tensor* tensor);

/* Gives every input a new shape (count must equal the number of inputs) and plans again. On failure
 * the session keeps its old shapes. */
LR_API lr_status lr_session_resize(lr_session* session, const lr_shape* shapes, size_t count);
/* Copies bytes into input index; bytes must equal the input's size. */
LR_API lr_status lr_session_set_input(lr_session* session, size_t index, const void* data, size_t bytes);
LR_API lr_status lr_session_run(lr_session* session);
/* Gives the variables of a model that remembers earlier runs their initial values again. */
LR_API lr_status lr_session_reset_variables(lr_session* session);

/* Every tensor of the main graph, by its index in the file: for shape inference, constant folding and
 * calibration. Data is given for constants and for values that follow from constants and shapes. */
LR_API size_t lr_session_tensor_count(const lr_session* session);
LR_API lr_status lr_session_tensor(lr_session* session, size_t index, lr_tensor* tensor);
/* Index in that table of input or output `index`. */
LR_API lr_status lr_session_input_index(const lr_session* session, size_t index, size_t* tensor);
LR_API lr_status lr_session_output_index(const lr_session* session, size_t index, size_t* tensor);

/* What the integers of a tensor stand for: real = (integer - zero_point) * scale. */
typedef struct lr_quantization {
  double scale;
  int32_t zero_point;
} lr_quantization;
/* How many of these a tensor has: 0 when it is not quantised, 1, or one per channel. */
LR_API size_t lr_session_quantization_count(const lr_session* session, size_t tensor);
LR_API lr_status lr_session_quantization(const lr_session* session, size_t tensor, size_t channel,
                                         lr_quantization* quantization);

/* Called after each node of the main graph has run; outputs hold the node's results. Return 0 to go on,
 * anything else to stop the run with LR_ERROR_RUN. */
typedef int (*lr_node_callback)(void* user, size_t node_index, const char* name, const char* op,
                                const lr_tensor* outputs, size_t output_count, double seconds);
LR_API lr_status lr_session_run_observed(lr_session* session, lr_node_callback callback, void* user);

/* Called after each node of the main graph that does work, with its own time and that of the element-wise node
 * it took over, if any. Return 0 to go on, anything else to stop the run with LR_ERROR_RUN. */
typedef struct lr_step {
  size_t node_index;
  const char* name;
  const char* op;
  double seconds;
  double operations; /* two per multiply-add of a convolution or matrix product, by its formula; 0 elsewhere */
  lr_tensor output;  /* the first */
} lr_step;
typedef int (*lr_step_callback)(void* user, const lr_step* step);
LR_API lr_status lr_session_run_timed(lr_session* session, lr_step_callback callback, void* user);

/* Bytes that a session needs. The model's are shared by all its sessions. */
typedef struct lr_memory {
  size_t constants; /* the model's, most of them pages of its file */
  size_t packed;    /* the model's weights in the layout of this CPU's kernels */
  size_t arena;     /* tensors and scratch memory of the session's graphs */
} lr_memory;
LR_API lr_status lr_session_memory(lr_session* session, lr_memory* memory);

/* The instruction-set tiers of this build, best first. */
typedef struct lr_tier {
  const char* name;
  int32_t available;                     /* on this CPU */
  int32_t chosen;                        /* the one in use */
  int32_t lanes;                         /* floats in a vector */
  int32_t gemm_rows, gemm_columns;       /* tile of the float matrix product */
  int32_t gemm_i8_rows, gemm_i8_columns; /* of the integer one */
} lr_tier;
LR_API size_t lr_tier_count(void);
LR_API lr_status lr_tier_describe(size_t index, lr_tier* tier);
/* Names of the kernels every tier has; NULL from the first index without one. */
LR_API const char* lr_kernel_name(size_t index);
/* The most float operations per second that the multiply-add units were seen to do in about `seconds`. */
LR_API lr_status lr_measure_peak(int32_t threads, double seconds, double* operations_per_second);

/* Operators of the model's author: a Custom node of the given type is inferred and computed by these
 * functions. Sub-graphs and sessions of any thread may call them; each returns 0, or anything else after
 * lr_custom_fail. Registering a type again replaces it for sessions created later. */
typedef struct lr_attribute {
  const char* name;
  const void* data;
  size_t bytes;
} lr_attribute;

typedef struct lr_custom_call {
  const char* node;
  const lr_attribute* attributes;
  size_t attribute_count;
  const lr_tensor* inputs; /* infer: data is NULL unless the value is fixed */
  size_t input_count;
  lr_tensor* outputs; /* infer sets dtype, rank and dims; compute fills data */
  size_t output_count;
} lr_custom_call;

typedef int (*lr_custom_function)(void* user, lr_custom_call* call);
LR_API lr_status lr_register_custom(const char* type, lr_custom_function infer, lr_custom_function compute, void* user);
/* The message of the error that a custom function is about to return. */
LR_API void lr_custom_fail(const char* message);

#ifdef __cplusplus
}
#endif
#endif /* LITE_RUNTIME_H_ */
