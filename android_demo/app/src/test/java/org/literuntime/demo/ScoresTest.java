package org.literuntime.demo;

import static org.junit.Assert.assertEquals;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.Test;
import org.literuntime.LiteRuntime;

/** Scores of several kinds, run through models that give back what they are given. */
public final class ScoresTest {
  private static Scores scores(String model, byte[] values) throws IOException {
    try (LiteRuntime runtime = DemoData.model(model)) {
      runtime.setInput(0, values);
      runtime.run();
      byte[] result = new byte[values.length];
      runtime.getOutput(0, result);
      return Scores.of(runtime.outputs().get(0), result);
    }
  }

  private static byte[] bytes(float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.nativeOrder());
    bytes.asFloatBuffer().put(values);
    return bytes.array();
  }

  @Test
  public void rawScoresBecomeProbabilities() throws IOException {
    Scores scores = scores("vector.ms", bytes(1000, 1001, -5, 1000));
    assertEquals(Arrays.asList(1, 0, 3), scores.best(3));
    assertEquals(Math.E / (Math.E + 2), scores.chance(1), 1e-6);
    assertEquals(0, scores.chance(2), 1e-9);
    assertEquals(4, scores.best(9).size());
  }

  @Test
  public void probabilitiesStayAsTheyAre() throws IOException {
    Scores scores = scores("vector.ms", bytes(0.25f, 0.5f, 0.125f, 0.125f));
    assertEquals(Arrays.asList(1, 0, 2, 3), scores.best(5));
    assertEquals(0.5, scores.chance(1), 0);
  }

  @Test
  public void quantisedScoresCountAsWhatTheyStandFor() throws IOException {
    Scores scores = scores("int8.ms", new byte[] {-7, -3, 1, -128});
    assertEquals(Arrays.asList(2, 1, 0, 3), scores.best(4));
    double sum = Math.exp(0) + Math.exp(1) + Math.exp(2) + Math.exp(-30.25);
    assertEquals(Math.exp(2) / sum, scores.chance(2), 1e-9);
  }
}
