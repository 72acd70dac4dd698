package org.literuntime;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.Test;
import org.junit.function.ThrowingRunnable;

/** Each kind of failure is an exception of its class that says what is wrong, and the runtime goes on working. */
public final class FailureTest {
  private static void refused(Class<? extends LiteRuntimeException> kind, String words, ThrowingRunnable call) {
    LiteRuntimeException error = assertThrows(kind, call);
    assertTrue(error.getMessage(), error.getMessage().contains(words));
  }

  private static ThrowingRunnable load(String name) {
    return () -> TestData.model(name).close();
  }

  @Test
  public void files() {
    refused(ModelFileException.class, "none.ms: cannot be opened", load("none.ms"));
    refused(ModelFileException.class, "is not a file", load("."));
    refused(ModelFileException.class, "zero byte", load("cnn.ms\0"));
    char[] name = new char[5000];
    Arrays.fill(name, 'x');
    refused(ModelFileException.class, "longer than the system allows", load(new String(name)));
    refused(ModelFormatException.class, "damaged or truncated", load("cut.ms"));
    refused(ModelFormatException.class, "empty", load("empty.ms"));
    refused(ModelFormatException.class, "no MSL2 identifier", load("cnn.in0"));
    refused(UnsupportedModelException.class, "Adam", load("unsupported.ms"));
  }

  @Test
  public void descriptors() {
    refused(
        ModelFileException.class,
        "Bad file descriptor",
        () -> LiteRuntime.fromDescriptor(-1, 0, -1, TestData.ONE_THREAD));
  }

  @Test
  public void bytes() throws IOException {
    byte[] cut = TestData.bytes("cut.ms");
    refused(ModelFormatException.class, "damaged or truncated", () -> LiteRuntime.fromBytes(cut, TestData.ONE_THREAD));
    byte[] none = {};
    refused(ModelFormatException.class, "0 bytes are too few", () -> LiteRuntime.fromBytes(none, TestData.ONE_THREAD));
  }

  @Test
  public void values() throws IOException {
    try (LiteRuntime runtime = TestData.model("cnn.ms")) {
      float[] input = TestData.floats("cnn.in0");
      refused(ArgumentException.class, "before run()", () -> runtime.getOutput(0, new float[10]));
      refused(ShapeException.class, "", () -> runtime.setInput(0, new float[5]));
      refused(ShapeException.class, "x FLOAT32[1, 32, 32, 3] has not", () -> runtime.setInput(0, new int[3072]));
      for (int index : new int[] {1, -1, Integer.MIN_VALUE}) {
        refused(ArgumentException.class, "there is no input", () -> runtime.setInput(index, input));
        refused(ArgumentException.class, "", () -> runtime.setInput(index, new byte[4]));
        refused(ArgumentException.class, "there is no output", () -> runtime.floats(index));
      }
      runtime.setInput(0, input);
      runtime.run();
      refused(ShapeException.class, "another size", () -> runtime.getOutput(0, new float[9]));
      refused(ArgumentException.class, "direct buffer", () -> runtime.getOutput(0, ByteBuffer.allocate(40)));
      ByteBuffer fixed = ByteBuffer.allocateDirect(40).asReadOnlyBuffer();
      refused(ArgumentException.class, "can be written to", () -> runtime.getOutput(0, fixed));
      assertEquals(TestData.floats("cnn.python0")[3], runtime.floats(0)[3], 0);
    }
  }

  @Test
  public void shapes() throws IOException {
    try (LiteRuntime runtime = TestData.model("cnn.ms")) {
      int most = Integer.MAX_VALUE;
      int[][][] wrong = {
        {}, {null}, {{1, 32}}, {{1, 32, 32, 4}}, {{-5, 32, 32, 3}}, {{most, most, most, 3}}, {{1, 32, 32, 3}, {1}},
        {{1, 2, 3, 4, 5, 6, 7, 8, 9}}, new int[65][1],
      };
      for (int[][] shapes : wrong) {
        refused(LiteRuntimeException.class, "", () -> runtime.resize(shapes));
      }
      runtime.setInput(0, TestData.floats("cnn.in0"));
      runtime.run();
      assertEquals(TestData.floats("cnn.python0")[3], runtime.floats(0)[3], 0);
      runtime.resize(new int[] {2, 32, 32, 3});
      refused(ArgumentException.class, "before run()", () -> runtime.floats(0));
    }
  }

  @Test
  public void valuesOfARun() {
    try (LiteRuntime runtime = TestData.model("gather.ms")) {
      runtime.setInput(0, new int[] {99});
      refused(ExecutionException.class, "99", () -> runtime.run());
      runtime.setInput(0, new int[] {1});
      runtime.run();
      assertEquals(20, runtime.floats(0)[0], 0);
    }
  }

  @Test
  public void options() {
    refused(ArgumentException.class, "-1", () -> new Options().threads(-1));
    refused(ArgumentException.class, "null", () -> new Options().affinity(null));
  }

  /** Files made to break readers: each is refused, or accepted and described. */
  @Test
  public void hostileFiles() {
    File[] files = TestData.file("attacks").listFiles();
    int refusals = 0;
    for (File file : files) {
      try (LiteRuntime runtime = LiteRuntime.fromFile(file, TestData.ONE_THREAD)) {
        assertFalse(runtime.outputs().isEmpty());
        runtime.inputs();
      } catch (LiteRuntimeException error) {
        assertFalse(error.getMessage().isEmpty());
        refusals++;
      }
    }
    assertTrue(refusals + " of " + files.length, refusals > files.length / 2);
  }
}
