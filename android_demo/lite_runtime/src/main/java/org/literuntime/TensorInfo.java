package org.literuntime;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Name, type and shape of an input or output. Immutable. */
public final class TensorInfo {
  private static final int DIMENSIONS = 5;

  private final String name;
  private final DataType type;
  private final long bytes;
  private final double scale;
  private final int zeroPoint;
  private final int[] shape;

  /**
   * @param name UTF-8
   * @param facts type number, bytes, bits of the scale, zero point, rank (-1: unknown), then the dimensions
   */
  TensorInfo(byte[] name, long[] facts) {
    this.name = new String(name, StandardCharsets.UTF_8);
    type = DataType.of((int) facts[0]);
    bytes = facts[1];
    scale = Double.longBitsToDouble(facts[2]);
    zeroPoint = (int) facts[3];
    int rank = (int) facts[4];
    shape = rank < 0 ? null : new int[rank];
    for (int axis = 0; axis < rank; axis++) {
      shape[axis] = (int) facts[DIMENSIONS + axis];
    }
  }

  /** As in the model file; empty when it has none. */
  public String name() {
    return name;
  }

  public DataType type() {
    return type;
  }

  /**
   * Dimensions; images are [batch, height, width, channels]. -1 stands for a size that is not known before
   * {@link LiteRuntime#resize}. Null for an output whose shape is not known before {@link LiteRuntime#run()}.
   */
  public int[] shape() {
    return shape == null ? null : shape.clone();
  }

  /** Size of the value in bytes; 0 while there is none: an input of unknown size, an output before the first run. */
  public long bytes() {
    return bytes;
  }

  /** Of an integer tensor, whose values stand for (value - {@link #zeroPoint()}) * scale; 0 where that is unknown. */
  public double scale() {
    return scale;
  }

  public int zeroPoint() {
    return zeroPoint;
  }

  @Override
  public String toString() {
    return name + " " + type + (shape == null ? "[?]" : Arrays.toString(shape));
  }
}
