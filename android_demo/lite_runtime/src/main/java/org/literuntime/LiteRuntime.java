package org.literuntime;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A .ms model, ready to run: set the inputs, run, get the outputs.
 *
 * <p>Images are [batch, height, width, channels]. Values are copied in and out, so arrays and buffers can be used
 * again at once. Calls from several threads wait for each other; load a model once per thread to run in parallel.
 * Native memory is freed by {@link #close()} alone; afterwards every method throws IllegalStateException.
 */
public final class LiteRuntime implements AutoCloseable {
  private final Object memory;
  private long model;
  private long session;
  private boolean computed;

  /** @param memory what the model is read from in place, kept as long as this object, or null */
  private LiteRuntime(long model, Object memory, Options options) {
    this.memory = memory;
    this.model = model;
    try {
      session = Native.createSession(model, options.threads(), options.affinity().ordinal());
    } finally {
      if (session == 0) {
        Native.freeModel(model);
      }
    }
  }

  /** Maps a model file. */
  public static LiteRuntime fromFile(File file, Options options) {
    return new LiteRuntime(Native.loadFile(file.getPath().getBytes(StandardCharsets.UTF_8)), null, options);
  }

  /**
   * Maps a region of an open file, for example of an Android package; {@link ModelAssets} does that for an asset.
   * At an offset that is no multiple of 8 the model is copied.
   *
   * @param descriptor stays the caller's and may be closed afterwards
   * @param length in bytes; -1: to the end of the file
   */
  public static LiteRuntime fromDescriptor(int descriptor, long offset, long length, Options options) {
    return new LiteRuntime(Native.loadDescriptor(descriptor, offset, length), null, options);
  }

  /**
   * Reads a model from position to limit of a buffer. A direct one, for example of FileChannel.map, is read in place
   * and must not be written to as long as this object lives; any other is copied.
   */
  public static LiteRuntime fromBuffer(ByteBuffer data, Options options) {
    ByteBuffer region = direct(data);
    return new LiteRuntime(Native.loadDirect(region, region.position(), region.remaining()), region, options);
  }

  /** Reads a model from memory, of which it makes a copy. */
  public static LiteRuntime fromBytes(byte[] data, Options options) {
    return fromBuffer(ByteBuffer.wrap(data), options);
  }

  /** The version of the engine. */
  public static String version() {
    return new String(Native.version(), StandardCharsets.UTF_8);
  }

  /** The instruction set in use, for example "neon" or "dotprod". */
  public static String isa() {
    return new String(Native.isa(), StandardCharsets.UTF_8);
  }

  public List<TensorInfo> inputs() {
    return infos(false);
  }

  /** The outputs; sizes that depend on values are known after {@link #run()}. */
  public List<TensorInfo> outputs() {
    return infos(true);
  }

  /** Gives every input a new shape. When that fails, the old shapes stay. */
  public synchronized void resize(int[]... shapes) {
    for (int[] shape : shapes) {
      if (shape == null) {
        throw new ArgumentException("a shape must not be null");
      }
    }
    Native.resize(open(), shapes);
    computed = false;
  }

  /** Sets a FLOAT32 input; the array has as many elements as the input. */
  public void setInput(int index, float[] values) {
    setArray(index, DataType.FLOAT32, values, values.length);
  }

  /** Sets an INT32 input; the array has as many elements as the input. */
  public void setInput(int index, int[] values) {
    setArray(index, DataType.INT32, values, values.length);
  }

  /** Sets an INT64 input; the array has as many elements as the input. */
  public void setInput(int index, long[] values) {
    setArray(index, DataType.INT64, values, values.length);
  }

  /** Sets an input of any type from its bytes, in native byte order. */
  public synchronized void setInput(int index, byte[] values) {
    Native.setInput(open(), index, values, values.length);
  }

  /** Sets an input of any type from the bytes between position and limit, in native byte order. */
  public synchronized void setInput(int index, ByteBuffer values) {
    ByteBuffer region = direct(values);
    Native.setInputDirect(open(), index, region, region.position(), region.remaining());
  }

  /** Computes the outputs from the inputs last set. */
  public synchronized void run() {
    computed = false;
    Native.run(open());
    computed = true;
  }

  /** Copies a FLOAT32 output into an array with as many elements. */
  public void getOutput(int index, float[] values) {
    getArray(index, DataType.FLOAT32, values, values.length);
  }

  /** Copies an INT32 output into an array with as many elements. */
  public void getOutput(int index, int[] values) {
    getArray(index, DataType.INT32, values, values.length);
  }

  /** Copies an INT64 output into an array with as many elements. */
  public void getOutput(int index, long[] values) {
    getArray(index, DataType.INT64, values, values.length);
  }

  /** Copies the bytes of an output of any type, in native byte order, into an array of that length. */
  public synchronized void getOutput(int index, byte[] values) {
    Native.getOutput(computed(), index, values, values.length);
  }

  /** Copies the bytes of an output of any type, in native byte order, between position and limit of a direct buffer. */
  public synchronized void getOutput(int index, ByteBuffer values) {
    if (!values.isDirect() || values.isReadOnly()) {
      throw new ArgumentException("an output is copied into a direct buffer that can be written to");
    }
    Native.getOutputDirect(computed(), index, values, values.position(), values.remaining());
  }

  /** A new array with the values of a FLOAT32 output. */
  public synchronized float[] floats(int index) {
    float[] values = new float[(int) (info(true, index).bytes() / DataType.FLOAT32.size())];
    getOutput(index, values);
    return values;
  }

  /** Frees the session and the model. A second call does nothing. */
  @Override
  public synchronized void close() {
    if (session == 0) {
      return;
    }
    Native.freeSession(session);
    Native.freeModel(model);
    session = 0;
    model = 0;
  }

  private synchronized void setArray(int index, DataType type, Object values, long count) {
    requireType(info(false, index), type);
    Native.setInput(open(), index, values, count * type.size());
  }

  private synchronized void getArray(int index, DataType type, Object values, long count) {
    requireType(info(true, index), type);
    Native.getOutput(computed(), index, values, count * type.size());
  }

  private static void requireType(TensorInfo info, DataType type) {
    if (info.type() != type) {
      throw new ShapeException(info + " has not the type of an array of " + type + ": use its bytes");
    }
  }

  private static ByteBuffer direct(ByteBuffer values) {
    if (values.isDirect()) {
      return values;
    }
    ByteBuffer copy = ByteBuffer.allocateDirect(values.remaining()).order(ByteOrder.nativeOrder());
    copy.put(values.duplicate());
    copy.rewind();
    return copy;
  }

  private synchronized List<TensorInfo> infos(boolean outputs) {
    int count = Native.count(open(), outputs);
    List<TensorInfo> infos = new ArrayList<>(count);
    for (int index = 0; index < count; index++) {
      infos.add(info(outputs, index));
    }
    return Collections.unmodifiableList(infos);
  }

  private TensorInfo info(boolean outputs, int index) {
    return new TensorInfo(Native.name(open(), outputs, index), Native.facts(session, outputs, index));
  }

  private long computed() {
    long handle = open();
    if (!computed) {
      throw new ArgumentException("an output has no value before run() has succeeded");
    }
    return handle;
  }

  private long open() {
    if (session == 0) {
      throw new IllegalStateException("this LiteRuntime is closed");
    }
    return session;
  }
}
