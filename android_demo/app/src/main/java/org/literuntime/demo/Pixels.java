package org.literuntime.demo;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.literuntime.DataType;
import org.literuntime.TensorInfo;

/** Turns a picture into what a model takes: [1, height, width, 1 or 3], floats or integers of 8 bits. */
final class Pixels {
  private static final int RANK = 4;
  /** Shares of red, green and blue in the brightness. */
  private static final float[] GREY = {0.299f, 0.587f, 0.114f};

  private final TensorInfo input;
  private final int height;
  private final int width;
  private final int channels;
  private final float[] mean;
  private final float[] std;

  /** @param mean and std of each channel of pixels from 0 to 1; with one channel the first of each counts */
  Pixels(TensorInfo input, float[] mean, float[] std) {
    if (!takesPictures(input)) {
      throw new IllegalArgumentException(
          input + " does not take a picture: FLOAT32, INT8 or UINT8 [1, height, width, 1 or 3] is wanted");
    }
    int[] shape = input.shape();
    this.input = input;
    height = shape[1];
    width = shape[2];
    channels = shape[3];
    this.mean = mean;
    this.std = std;
  }

  private static boolean takesPictures(TensorInfo input) {
    int[] shape = input.shape();
    boolean known = input.type() == DataType.FLOAT32 || input.type() == DataType.INT8 || input.type() == DataType.UINT8;
    return known && shape.length == RANK && shape[0] == 1 && shape[1] > 0 && shape[2] > 0
        && (shape[3] == 1 || shape[3] == Picture.CHANNELS);
  }

  /** The shorter side that a picture needs so that nothing is lost. */
  int size() {
    return Math.max(height, width);
  }

  /** A direct buffer with the input's bytes. */
  ByteBuffer of(Picture picture) {
    float[] colours = picture.scaled(height, width);
    ByteBuffer target = ByteBuffer.allocateDirect((int) input.bytes()).order(ByteOrder.nativeOrder());
    for (int at = 0; at < colours.length; at += Picture.CHANNELS) {
      if (channels == 1) {
        float grey = colours[at] * GREY[0] + colours[at + 1] * GREY[1] + colours[at + 2] * GREY[2];
        put(target, grey, 0);
        continue;
      }
      for (int channel = 0; channel < channels; channel++) {
        put(target, colours[at + channel], channel);
      }
    }
    target.rewind();
    return target;
  }

  private void put(ByteBuffer target, float value, int channel) {
    int index = Math.min(channel, mean.length - 1);
    float normal = (value / 255 - mean[index]) / std[Math.min(channel, std.length - 1)];
    if (input.type() == DataType.FLOAT32) {
      target.putFloat(normal);
    } else if (input.type() == DataType.INT8) {
      target.put((byte) integer(value - 128, normal, Byte.MIN_VALUE, Byte.MAX_VALUE));
    } else {
      target.put((byte) integer(value, normal, 0, 255));
    }
  }

  /** A quantised input takes what stands for the normalised value; any other the pixel itself. */
  private int integer(float pixel, float normal, int least, int most) {
    double wanted = input.scale() == 0 ? pixel : normal / input.scale() + input.zeroPoint();
    return (int) Math.max(least, Math.min(most, Math.rint(wanted)));
  }
}
