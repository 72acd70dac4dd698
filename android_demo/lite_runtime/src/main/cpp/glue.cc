// Java's native methods over the C interface of the engine. It uses no C++ library and keeps no state but the
// class that makes exceptions. Java checks what it can; here is checked what would be unsafe.
#include <jni.h>
#include <string.h>

#include "lite_runtime.h"

namespace {

jclass failures;
jmethodID failure_of;

lr_session* session_of(jlong handle) { return reinterpret_cast<lr_session*>(handle); }
lr_model* model_of(jlong handle) { return reinterpret_cast<lr_model*>(handle); }
template <class T>
jlong handle_of(T* pointer) {
  return reinterpret_cast<jlong>(pointer);
}

// Names and messages may hold any bytes, which NewStringUTF does not allow: Java decodes them.
jbyteArray bytes_of(JNIEnv* env, const char* text) {
  const jsize size = static_cast<jsize>(strlen(text));
  jbyteArray bytes = env->NewByteArray(size);
  if (bytes != nullptr) env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text));
  return bytes;
}

void raise(JNIEnv* env, lr_status status, const char* message) {
  jbyteArray bytes = bytes_of(env, message);
  if (bytes == nullptr) return;  // OutOfMemoryError is pending
  jobject exception = env->CallStaticObjectMethod(failures, failure_of, static_cast<jint>(status), bytes);
  if (env->ExceptionCheck() == JNI_FALSE) env->Throw(static_cast<jthrowable>(exception));
}

// False with an exception pending when the call failed.
bool succeeded(JNIEnv* env, lr_status status) {
  if (status == LR_OK) return true;
  raise(env, status, lr_last_error());
  return false;
}

// The memory of a direct buffer from offset, or null with an exception pending unless `bytes` lie there.
char* direct_memory(JNIEnv* env, jobject buffer, jlong offset, jlong bytes) {
  char* start = static_cast<char*>(env->GetDirectBufferAddress(buffer));
  const jlong capacity = env->GetDirectBufferCapacity(buffer);
  if (start == nullptr || offset < 0 || bytes < 0 || offset > capacity || bytes > capacity - offset) {
    raise(env, LR_ERROR_ARGUMENT, "not a region of a direct buffer");
    return nullptr;
  }
  return start + offset;
}

bool tensor_of(JNIEnv* env, jlong session, jboolean outputs, jint index, lr_tensor* tensor) {
  const auto get = outputs ? lr_session_output : lr_session_input;
  const size_t position = index < 0 ? static_cast<size_t>(-1) : static_cast<size_t>(index);
  return succeeded(env, get(session_of(session), position, tensor));
}

// An output's value must be there and have this many bytes.
bool output_of(JNIEnv* env, jlong session, jint index, jlong bytes, lr_tensor* tensor) {
  if (!tensor_of(env, session, JNI_TRUE, index, tensor)) return false;
  if (tensor->data == nullptr) {
    raise(env, LR_ERROR_ARGUMENT, "the output has no value");
    return false;
  }
  if (static_cast<jlong>(tensor->bytes) == bytes) return true;
  raise(env, LR_ERROR_SHAPE, "the output has another size than the array or buffer for it: see outputs()");
  return false;
}

jbyteArray version(JNIEnv* env, jclass) { return bytes_of(env, lr_version()); }
jbyteArray isa(JNIEnv* env, jclass) { return bytes_of(env, lr_isa()); }

jlong load_file(JNIEnv* env, jclass, jbyteArray path) {
  const jsize size = env->GetArrayLength(path);
  char name[4096];  // PATH_MAX
  if (size >= static_cast<jsize>(sizeof name)) {
    raise(env, LR_ERROR_FILE, "the path of the model is longer than the system allows");
    return 0;
  }
  env->GetByteArrayRegion(path, 0, size, reinterpret_cast<jbyte*>(name));
  name[size] = '\0';
  if (strlen(name) != static_cast<size_t>(size)) {
    raise(env, LR_ERROR_FILE, "the path of the model contains a zero byte");
    return 0;
  }
  lr_model* model = nullptr;
  return succeeded(env, lr_model_load_file(name, &model)) ? handle_of(model) : 0;
}

jlong load_descriptor(JNIEnv* env, jclass, jint descriptor, jlong offset, jlong length) {
  lr_model* model = nullptr;
  return succeeded(env, lr_model_load_fd(descriptor, offset, length, &model)) ? handle_of(model) : 0;
}

jlong load_direct(JNIEnv* env, jclass, jobject data, jlong offset, jlong length) {
  const char* start = direct_memory(env, data, offset, length);
  if (start == nullptr) return 0;
  lr_model* model = nullptr;
  const lr_status status = lr_model_load_buffer(start, static_cast<size_t>(length), 0, &model);
  return succeeded(env, status) ? handle_of(model) : 0;
}

void free_model(JNIEnv*, jclass, jlong model) { lr_model_free(model_of(model)); }

jlong create_session(JNIEnv* env, jclass, jlong model, jint threads, jint affinity) {
  lr_options options = {};
  options.struct_size = sizeof options;
  options.threads = threads;
  options.affinity_mode = affinity;
  lr_session* session = nullptr;
  return succeeded(env, lr_session_create(model_of(model), &options, &session)) ? handle_of(session) : 0;
}

void free_session(JNIEnv*, jclass, jlong session) { lr_session_free(session_of(session)); }

jint count(JNIEnv*, jclass, jlong session, jboolean outputs) {
  const auto get = outputs ? lr_session_output_count : lr_session_input_count;
  return static_cast<jint>(get(session_of(session)));
}

jbyteArray name(JNIEnv* env, jclass, jlong session, jboolean outputs, jint index) {
  lr_tensor tensor;
  return tensor_of(env, session, outputs, index, &tensor) ? bytes_of(env, tensor.name) : nullptr;
}

// The scale and zero point of an integer tensor that has one of each; a scale of 0 otherwise.
bool quantization_of(JNIEnv* env, jlong handle, jboolean outputs, jint index, lr_quantization* quantization) {
  lr_session* session = session_of(handle);
  const auto tensor_index = outputs ? lr_session_output_index : lr_session_input_index;
  size_t tensor = 0;
  if (!succeeded(env, tensor_index(session, static_cast<size_t>(index), &tensor))) return false;
  if (lr_session_quantization_count(session, tensor) != 1) return true;
  return succeeded(env, lr_session_quantization(session, tensor, 0, quantization));
}

jlongArray facts(JNIEnv* env, jclass, jlong session, jboolean outputs, jint index) {
  lr_tensor tensor;
  lr_quantization quantization = {};
  if (!tensor_of(env, session, outputs, index, &tensor)) return nullptr;
  if (!quantization_of(env, session, outputs, index, &quantization)) return nullptr;
  constexpr jsize kFixed = 5;
  jlong values[kFixed + LR_MAX_RANK] = {tensor.dtype, static_cast<jlong>(tensor.bytes), 0, quantization.zero_point,
                                        tensor.rank};
  memcpy(&values[2], &quantization.scale, sizeof quantization.scale);
  const jsize rank = tensor.rank < 0 ? 0 : tensor.rank;
  for (jsize axis = 0; axis < rank; ++axis) values[kFixed + axis] = tensor.dims[axis];
  jlongArray result = env->NewLongArray(kFixed + rank);
  if (result != nullptr) env->SetLongArrayRegion(result, 0, kFixed + rank, values);
  return result;
}

// One of the shapes given to resize; false with an exception pending.
bool read_shape(JNIEnv* env, jobjectArray shapes, jsize index, lr_shape* shape) {
  jintArray dims = static_cast<jintArray>(env->GetObjectArrayElement(shapes, index));
  const jsize rank = env->GetArrayLength(dims);
  if (rank > LR_MAX_RANK) {
    raise(env, LR_ERROR_SHAPE, "a shape has more dimensions than the 8 that are possible");
    return false;
  }
  jint values[LR_MAX_RANK];
  env->GetIntArrayRegion(dims, 0, rank, values);
  env->DeleteLocalRef(dims);
  shape->rank = rank;
  for (jsize i = 0; i < rank; ++i) shape->dims[i] = values[i];
  return true;
}

void resize(JNIEnv* env, jclass, jlong session, jobjectArray shapes) {
  constexpr jsize kMost = 64;
  const jsize given = env->GetArrayLength(shapes);
  if (given > kMost) {
    raise(env, LR_ERROR_ARGUMENT, "a model with more than 64 inputs cannot be resized from Java");
    return;
  }
  lr_shape list[kMost] = {};
  for (jsize i = 0; i < given; ++i) {
    if (!read_shape(env, shapes, i, &list[i])) return;
  }
  succeeded(env, lr_session_resize(session_of(session), list, static_cast<size_t>(given)));
}

void set_input(JNIEnv* env, jclass, jlong session, jint index, jobject array, jlong bytes) {
  void* values = env->GetPrimitiveArrayCritical(static_cast<jarray>(array), nullptr);
  if (values == nullptr) return;  // OutOfMemoryError is pending
  const size_t position = index < 0 ? static_cast<size_t>(-1) : static_cast<size_t>(index);
  const lr_status status = lr_session_set_input(session_of(session), position, values, static_cast<size_t>(bytes));
  env->ReleasePrimitiveArrayCritical(static_cast<jarray>(array), values, JNI_ABORT);
  succeeded(env, status);
}

void set_input_direct(JNIEnv* env, jclass, jlong session, jint index, jobject data, jlong offset, jlong bytes) {
  const char* start = direct_memory(env, data, offset, bytes);
  if (start == nullptr) return;
  const size_t position = index < 0 ? static_cast<size_t>(-1) : static_cast<size_t>(index);
  succeeded(env, lr_session_set_input(session_of(session), position, start, static_cast<size_t>(bytes)));
}

void run(JNIEnv* env, jclass, jlong session) { succeeded(env, lr_session_run(session_of(session))); }

void get_output(JNIEnv* env, jclass, jlong session, jint index, jobject array, jlong bytes) {
  lr_tensor tensor;
  if (!output_of(env, session, index, bytes, &tensor)) return;
  void* values = env->GetPrimitiveArrayCritical(static_cast<jarray>(array), nullptr);
  if (values == nullptr) return;  // OutOfMemoryError is pending
  memcpy(values, tensor.data, tensor.bytes);
  env->ReleasePrimitiveArrayCritical(static_cast<jarray>(array), values, 0);
}

void get_output_direct(JNIEnv* env, jclass, jlong session, jint index, jobject data, jlong offset, jlong bytes) {
  lr_tensor tensor;
  if (!output_of(env, session, index, bytes, &tensor)) return;
  char* start = direct_memory(env, data, offset, bytes);
  if (start != nullptr) memcpy(start, tensor.data, tensor.bytes);
}

template <class Function>
JNINativeMethod method(const char* name, const char* signature, Function* function) {
  // The C type of the fields differs between Java's header and Android's: not const here, const there.
  return {const_cast<char*>(name), const_cast<char*>(signature), reinterpret_cast<void*>(function)};
}

}  // namespace

extern "C" JNIEXPORT jint JNI_OnLoad(JavaVM* vm, void*) {
  JNIEnv* env = nullptr;
  if (vm->GetEnv(reinterpret_cast<void**>(&env), JNI_VERSION_1_6) != JNI_OK) return JNI_ERR;
  jclass owner = env->FindClass("org/literuntime/Native");
  jclass maker = owner == nullptr ? nullptr : env->FindClass("org/literuntime/Failures");
  if (maker == nullptr) return JNI_ERR;
  failures = static_cast<jclass>(env->NewGlobalRef(maker));
  failure_of = env->GetStaticMethodID(maker, "of", "(I[B)Lorg/literuntime/LiteRuntimeException;");
  const JNINativeMethod methods[] = {
      method("version", "()[B", version),
      method("isa", "()[B", isa),
      method("loadFile", "([B)J", load_file),
      method("loadDescriptor", "(IJJ)J", load_descriptor),
      method("loadDirect", "(Ljava/nio/ByteBuffer;JJ)J", load_direct),
      method("freeModel", "(J)V", free_model),
      method("createSession", "(JII)J", create_session),
      method("freeSession", "(J)V", free_session),
      method("count", "(JZ)I", count),
      method("name", "(JZI)[B", name),
      method("facts", "(JZI)[J", facts),
      method("resize", "(J[[I)V", resize),
      method("setInput", "(JILjava/lang/Object;J)V", set_input),
      method("setInputDirect", "(JILjava/nio/ByteBuffer;JJ)V", set_input_direct),
      method("run", "(J)V", run),
      method("getOutput", "(JILjava/lang/Object;J)V", get_output),
      method("getOutputDirect", "(JILjava/nio/ByteBuffer;JJ)V", get_output_direct),
  };
  const jint number = static_cast<jint>(sizeof methods / sizeof methods[0]);
  if (failure_of == nullptr || env->RegisterNatives(owner, methods, number) != JNI_OK) return JNI_ERR;
  return JNI_VERSION_1_6;
}
