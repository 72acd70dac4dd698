package org.literuntime;

import java.nio.ByteBuffer;

/**
 * The C interface of the engine, one method per function or two. Handles are addresses: whoever calls keeps them
 * valid. Every method may throw a {@link LiteRuntimeException}. The signatures are registered by glue.cc.
 */
final class Native {
  static {
    System.loadLibrary("lite_runtime_jni");
  }

  private Native() {}

  static native byte[] version();

  static native byte[] isa();

  /** Loads the file with this path in UTF-8. */
  static native long loadFile(byte[] path);

  static native long loadDescriptor(int descriptor, long offset, long length);

  /** Reads the model in place: the memory of the direct buffer must outlive it. */
  static native long loadDirect(ByteBuffer data, long offset, long length);

  static native void freeModel(long model);

  static native long createSession(long model, int threads, int affinity);

  static native void freeSession(long session);

  static native int count(long session, boolean outputs);

  static native byte[] name(long session, boolean outputs, int index);

  /** What {@link TensorInfo} wants. */
  static native long[] facts(long session, boolean outputs, int index);

  static native void resize(long session, int[][] shapes);

  /** Copies a whole array of a primitive type, of as many bytes, into an input. */
  static native void setInput(long session, int index, Object array, long bytes);

  static native void setInputDirect(long session, int index, ByteBuffer data, long offset, long bytes);

  static native void run(long session);

  /** Copies an output into an array of a primitive type that has as many bytes. */
  static native void getOutput(long session, int index, Object array, long bytes);

  static native void getOutputDirect(long session, int index, ByteBuffer data, long offset, long bytes);
}
