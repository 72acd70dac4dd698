package org.literuntime.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.Test;
import org.literuntime.LiteRuntime;

/** Pictures of several proportions become what the Raspberry Pi's demonstration, in Python, makes of them. */
public final class PixelsTest {
  private static final float[] MEAN = {0.485f, 0.456f, 0.406f};
  private static final float[] STD = {0.229f, 0.224f, 0.225f};
  private static final String[] PICTURES = {"wide", "tall", "tiny", "exact"};

  private static ByteBuffer prepared(String model, String picture, float[] mean, float[] std) throws IOException {
    try (LiteRuntime runtime = DemoData.model(model + ".ms")) {
      return new Pixels(runtime.inputs().get(0), mean, std).of(DemoData.picture(picture + ".png"));
    }
  }

  private static ByteBuffer expected(String model, String picture) throws IOException {
    byte[] bytes = DemoData.bytes(model + "_" + picture + ".bin");
    return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
  }

  private static void assertFloats(String model, float[] mean, float[] std) throws IOException {
    for (String picture : PICTURES) {
      ByteBuffer found = prepared(model, picture, mean, std);
      ByteBuffer wanted = expected(model, picture);
      assertEquals(wanted.remaining(), found.remaining());
      while (wanted.hasRemaining()) {
        assertEquals(wanted.getFloat(), found.getFloat(), 1e-4);
      }
    }
  }

  @Test
  public void floatsOfColours() throws IOException {
    assertFloats("float32_3", MEAN, STD);
  }

  @Test
  public void floatsOfBrightness() throws IOException {
    assertFloats("float32_1", new float[] {0.1307f}, new float[] {0.3081f});
  }

  /** Python's arithmetic may fall on the other side of a half. */
  @Test
  public void integers() throws IOException {
    for (String model : new String[] {"int8_3", "uint8_3"}) {
      int different = 0;
      int all = 0;
      for (String picture : PICTURES) {
        ByteBuffer found = prepared(model, picture, MEAN, STD);
        ByteBuffer wanted = expected(model, picture);
        assertEquals(wanted.remaining(), found.remaining());
        for (; wanted.hasRemaining(); all++) {
          int distance = Math.abs((wanted.get() & 255) - (found.get() & 255));
          assertTrue(distance <= 1);
          different += distance;
        }
      }
      assertTrue(different + " of " + all, different * 100 <= all);
    }
  }

  /** real = (stored + 7) / 4 */
  @Test
  public void quantisedInputsTakeTheNormalisedValue() throws IOException {
    float[] reals = new float[3 * 8 * 6];
    ByteBuffer wanted = expected("float32_3", "exact");
    wanted.asFloatBuffer().get(reals);
    ByteBuffer found = prepared("quantised_3", "exact", MEAN, STD);
    for (float real : reals) {
      assertEquals(real / 0.25 - 7, found.get(), 0.5 + 1e-3);
    }
  }

  @Test
  public void noPicture() {
    assertThrows(IllegalArgumentException.class, () -> new Picture(new int[0], 0, 0));
    assertThrows(IllegalArgumentException.class, () -> new Picture(new int[5], 2, 3));
  }
}
