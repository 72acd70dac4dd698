package org.literuntime.demo;

/** Pixels of a picture. Immutable. */
final class Picture {
  static final int CHANNELS = 3;

  private final int[] pixels;
  private final int width;
  private final int height;

  /** @param pixels rows from the top, each pixel 0xAARRGGBB as Android's Bitmap gives them; not copied */
  Picture(int[] pixels, int width, int height) {
    if (width < 1 || height < 1 || pixels.length != width * height) {
      throw new IllegalArgumentException(pixels.length + " pixels are no picture of " + width + " x " + height);
    }
    this.pixels = pixels;
    this.width = width;
    this.height = height;
  }

  /**
   * The largest centred part of the wanted proportions, scaled bilinearly.
   *
   * @return [height, width, 3]: red, green and blue from 0 to 255
   */
  float[] scaled(int wantedHeight, int wantedWidth) {
    float scale = Math.min((float) height / wantedHeight, (float) width / wantedWidth);
    Line rows = new Line(height, wantedHeight, scale);
    Line columns = new Line(width, wantedWidth, scale);
    float[] values = new float[wantedHeight * wantedWidth * CHANNELS];
    int next = 0;
    for (int y = 0; y < wantedHeight; y++) {
      for (int x = 0; x < wantedWidth; x++) {
        for (int shift = 16; shift >= 0; shift -= 8) {
          float above = between(rows.low[y] * width, columns, x, shift);
          float below = between(rows.high[y] * width, columns, x, shift);
          values[next++] = above + (below - above) * rows.share[y];
        }
      }
    }
    return values;
  }

  private float between(int row, Line columns, int x, int shift) {
    int left = pixels[row + columns.low[x]] >> shift & 255;
    int right = pixels[row + columns.high[x]] >> shift & 255;
    return left + (right - left) * columns.share[x];
  }

  /** Where the samples of a line lie: between which two pixels, and how far towards the second. */
  private static final class Line {
    final int[] low;
    final int[] high;
    final float[] share;

    Line(int size, int wanted, float scale) {
      low = new int[wanted];
      high = new int[wanted];
      share = new float[wanted];
      for (int i = 0; i < wanted; i++) {
        float place = (i + 0.5f - wanted / 2f) * scale + size / 2f - 0.5f;
        place = Math.max(0, Math.min(size - 1, place));
        low[i] = (int) place;
        high[i] = Math.min(low[i] + 1, size - 1);
        share[i] = place - low[i];
      }
    }
  }
}
