package org.literuntime;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.io.FileDescriptor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.Test;

/** Every way in and out gives the answer that Python gives. */
public final class RuntimeTest {
  private static final int[] IMAGE = {1, 32, 32, 3};

  private static void assertAnswer(LiteRuntime runtime) throws IOException {
    try {
      runtime.setInput(0, TestData.floats("cnn.in0"));
      runtime.run();
      assertArrayEquals(TestData.floats("cnn.python0"), runtime.floats(0), 0);
    } finally {
      runtime.close();
    }
  }

  @Test
  public void fileAnswersAsPythonAndMindSpore() throws IOException {
    assertAnswer(TestData.model("cnn.ms"));
    assertArrayEquals(TestData.floats("cnn.mindspore0"), TestData.floats("cnn.python0"), 1e-5f);
  }

  @Test
  public void allThreadsGiveTheSameAnswer() throws IOException {
    Options options = new Options().affinity(Affinity.BIG_CORES_FIRST);
    assertAnswer(LiteRuntime.fromFile(TestData.file("cnn.ms"), options));
  }

  @Test
  public void bytesAndHeapBuffers() throws IOException {
    byte[] model = TestData.bytes("cnn.ms");
    assertAnswer(LiteRuntime.fromBytes(model, TestData.ONE_THREAD));
    byte[] larger = new byte[model.length + 20];
    System.arraycopy(model, 0, larger, 7, model.length);
    ByteBuffer region = ByteBuffer.wrap(larger, 7, model.length).slice();
    assertAnswer(LiteRuntime.fromBuffer(region, TestData.ONE_THREAD));
    assertEquals(model.length, region.remaining());
  }

  @Test
  public void mappedBuffer() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(TestData.file("cnn.ms"), "r")) {
      MappedByteBuffer map = file.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, file.length());
      assertAnswer(LiteRuntime.fromBuffer(map, TestData.ONE_THREAD));
    }
  }

  @Test
  public void regionOfAnOpenFile() throws Exception {
    byte[] model = TestData.bytes("cnn.ms");
    for (int offset : new int[] {0, 4, 8, 13, 5000}) {
      try (RandomAccessFile file = new RandomAccessFile(TestData.file("package"), "rw")) {
        file.setLength(0);
        file.seek(offset);
        file.write(model);
        file.write(new byte[77]);
        int descriptor = descriptorOf(file.getFD());
        assertAnswer(LiteRuntime.fromDescriptor(descriptor, offset, model.length, TestData.ONE_THREAD));
      }
    }
  }

  /** Android has ParcelFileDescriptor.getFd for this. */
  private static int descriptorOf(FileDescriptor file) throws ReflectiveOperationException {
    Field number = FileDescriptor.class.getDeclaredField("fd");
    number.setAccessible(true);
    return number.getInt(file);
  }

  @Test
  public void bytesAndBuffersOfValues() throws IOException {
    byte[] input = TestData.bytes("cnn.in0");
    byte[] expected = TestData.bytes("cnn.python0");
    ByteBuffer direct = ByteBuffer.allocateDirect(input.length + 8).order(ByteOrder.nativeOrder());
    direct.position(8);
    direct.put(input).position(8);
    try (LiteRuntime runtime = TestData.model("cnn.ms")) {
      for (int way = 0; way < 3; way++) {
        runtime.setInput(0, new byte[input.length]);
        runtime.run();
        if (way == 0) {
          runtime.setInput(0, input);
        } else {
          runtime.setInput(0, way == 1 ? direct : ByteBuffer.wrap(input));
        }
        runtime.run();
        byte[] found = new byte[expected.length];
        runtime.getOutput(0, found);
        assertArrayEquals(expected, found);
      }
      ByteBuffer result = ByteBuffer.allocateDirect(expected.length + 3);
      result.position(3);
      runtime.getOutput(0, result);
      byte[] found = new byte[expected.length];
      result.get(found);
      assertArrayEquals(expected, found);
    }
  }

  @Test
  public void severalInputsAndOutputsOfSeveralTypes() throws IOException {
    try (LiteRuntime runtime = TestData.model("a_io.ms")) {
      runtime.setInput(0, TestData.floats("a_io.in0"));
      runtime.setInput(1, TestData.bytes("a_io.in1"));
      runtime.run();
      assertArrayEquals(TestData.floats("a_io.python0"), runtime.floats(0), 0);
      int[] whole = new int[6];
      runtime.getOutput(1, whole);
      byte[] bytes = new byte[24];
      ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).asIntBuffer().put(whole);
      assertArrayEquals(TestData.bytes("a_io.python1"), bytes);
      runtime.setInput(1, new int[6]);
      runtime.run();
      runtime.getOutput(1, whole);
      assertArrayEquals(new int[6], whole);
    }
  }

  @Test
  public void longIntegers() {
    try (LiteRuntime runtime = TestData.model("sum_int64.ms")) {
      runtime.setInput(0, new long[] {1L << 40, -2, 3});
      runtime.setInput(1, new long[] {5, 6, 7});
      runtime.run();
      long[] found = new long[3];
      runtime.getOutput(0, found);
      assertArrayEquals(new long[] {(1L << 40) + 5, 4, 10}, found);
    }
  }

  @Test
  public void descriptions() {
    try (LiteRuntime runtime = TestData.model("cnn.ms")) {
      List<TensorInfo> inputs = runtime.inputs();
      assertEquals(1, inputs.size());
      assertEquals("x", inputs.get(0).name());
      assertEquals(DataType.FLOAT32, inputs.get(0).type());
      assertArrayEquals(IMAGE, inputs.get(0).shape());
      assertEquals(4 * 32 * 32 * 3, inputs.get(0).bytes());
      assertEquals(0, inputs.get(0).scale(), 0);
      assertEquals("x FLOAT32[1, 32, 32, 3]", inputs.get(0).toString());
      assertArrayEquals(new int[] {1, 10}, runtime.outputs().get(0).shape());
    }
  }

  @Test
  public void namesMayHoldAnything() {
    try (LiteRuntime runtime = TestData.model("strange_name.ms")) {
      assertEquals("\ud83d\ude00\u00e9\ufffd", runtime.inputs().get(0).name());
    }
  }

  @Test
  public void scaleAndZeroPointOfIntegers() {
    try (LiteRuntime runtime = TestData.model("int8.ms")) {
      assertEquals(DataType.INT8, runtime.inputs().get(0).type());
      assertEquals(0.25, runtime.inputs().get(0).scale(), 0);
      assertEquals(-7, runtime.inputs().get(0).zeroPoint());
    }
  }

  @Test
  public void resizeAndUnknownSizes() {
    try (LiteRuntime runtime = TestData.model("sum.ms")) {
      assertArrayEquals(new int[] {-1, 3}, runtime.inputs().get(0).shape());
      assertEquals(0, runtime.inputs().get(0).bytes());
      assertNull(runtime.outputs().get(0).shape());
      for (int rows = 1; rows < 4; rows++) {
        runtime.resize(new int[] {rows, 3}, new int[] {rows, 3});
        float[] ones = new float[3 * rows];
        Arrays.fill(ones, 1);
        runtime.setInput(0, ones);
        runtime.setInput(1, ones);
        runtime.run();
        assertArrayEquals(new int[] {rows, 3}, runtime.outputs().get(0).shape());
        assertEquals(3 * rows, runtime.floats(0).length);
        assertEquals(2, runtime.floats(0)[3 * rows - 1], 0);
      }
    }
  }

  @Test
  public void threadsHaveRuntimesOfTheirOwn() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    Callable<Boolean> task = () -> {
      for (int round = 0; round < 20; round++) {
        assertAnswer(TestData.model("cnn.ms"));
      }
      return true;
    };
    for (Future<Boolean> done : pool.invokeAll(Collections.nCopies(4, task))) {
      assertTrue(done.get());
    }
    pool.shutdown();
  }

  @Test
  public void versionAndInstructionSet() {
    assertEquals(System.getProperty("literuntime.version"), LiteRuntime.version());
    assertEquals(System.getProperty("literuntime.isa"), LiteRuntime.isa());
  }
}
