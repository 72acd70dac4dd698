package org.literuntime;

import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import org.junit.Test;
import org.junit.function.ThrowingRunnable;

/** Native memory and descriptors are freed, once. */
public final class LifetimeTest {
  private static final int ROUNDS = 1000;
  /** A leak of the model alone, 40 KB, would add five times as much. */
  private static final long ALLOWED_KILOBYTES = 8 * 1024;

  private static long residentKilobytes() throws IOException {
    for (String line : Files.readAllLines(Paths.get("/proc/self/status"), StandardCharsets.UTF_8)) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("no VmRSS");
  }

  private static int openFiles() {
    return new java.io.File("/proc/self/fd").list().length;
  }

  private interface Round {
    void run() throws IOException;
  }

  private static void assertNothingLeaks(Round round) throws IOException {
    for (int i = 0; i < ROUNDS; i++) {
      round.run();
    }
    System.gc();
    long before = residentKilobytes();
    int files = openFiles();
    for (int i = 0; i < ROUNDS; i++) {
      round.run();
    }
    System.gc();
    long grown = residentKilobytes() - before;
    System.out.println(ROUNDS + " rounds: resident memory grew by " + grown + " KB");
    assertTrue("grew by " + grown + " KB", grown < ALLOWED_KILOBYTES);
    assertTrue(openFiles() <= files);
  }

  @Test
  public void loadingRunningAndClosingLeaksNothing() throws IOException {
    float[] input = TestData.floats("cnn.in0");
    assertNothingLeaks(() -> {
      try (LiteRuntime runtime = TestData.model("cnn.ms")) {
        runtime.setInput(0, input);
        runtime.run();
        runtime.floats(0);
      }
    });
  }

  @Test
  public void failingToLoadLeaksNothing() throws IOException {
    String[] names = {"cut.ms", "unsupported.ms", "none.ms"};
    assertNothingLeaks(() -> {
      for (String name : names) {
        try {
          TestData.model(name);
        } catch (LiteRuntimeException error) {
          continue;
        }
        throw new AssertionError(name);
      }
    });
  }

  @Test
  public void closedMeansClosed() {
    LiteRuntime runtime = TestData.model("cnn.ms");
    runtime.close();
    runtime.close();
    ThrowingRunnable[] calls = {
      () -> runtime.run(),
      () -> runtime.inputs(),
      () -> runtime.floats(0),
      () -> runtime.setInput(0, new byte[1]),
      () -> runtime.resize(new int[][] {{1}}),
    };
    for (ThrowingRunnable call : calls) {
      assertThrows(IllegalStateException.class, call);
    }
  }
}
