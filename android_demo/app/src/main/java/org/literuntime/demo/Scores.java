package org.literuntime.demo;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.literuntime.DataType;
import org.literuntime.TensorInfo;

/** What a model says of each class. */
final class Scores {
  private static final double SUM_TOLERANCE = 1e-2;

  private final double[] chances;

  private Scores(double[] chances) {
    this.chances = chances;
  }

  /** @param output of type FLOAT32, or INT8 or UINT8 with a scale; {@code bytes} are its value */
  static Scores of(TensorInfo output, byte[] bytes) {
    return new Scores(probabilities(values(output, ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()))));
  }

  private static double[] values(TensorInfo output, ByteBuffer bytes) {
    double[] values = new double[bytes.remaining() / output.type().size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = value(output, bytes);
    }
    return values;
  }

  private static double value(TensorInfo output, ByteBuffer bytes) {
    if (output.type() == DataType.FLOAT32) {
      return bytes.getFloat();
    }
    if (output.scale() == 0 || output.type().size() != 1) {
      throw new IllegalArgumentException(
          output + " gives no scores: FLOAT32, or INT8 or UINT8 with one scale, is wanted");
    }
    int stored = output.type() == DataType.UINT8 ? bytes.get() & 255 : bytes.get();
    return (stored - output.zeroPoint()) * output.scale();
  }

  /** Softmax, unless the model has already done it. */
  private static double[] probabilities(double[] scores) {
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    double sum = 0;
    for (double score : scores) {
      least = Math.min(least, score);
      most = Math.max(most, score);
      sum += score;
    }
    if (least >= 0 && Math.abs(sum - 1) < SUM_TOLERANCE) {
      return scores;
    }
    double[] powers = new double[scores.length];
    double total = 0;
    for (int i = 0; i < powers.length; i++) {
      powers[i] = Math.exp(scores[i] - most);
      total += powers[i];
    }
    for (int i = 0; i < powers.length; i++) {
      powers[i] /= total;
    }
    return powers;
  }

  /** The likeliest classes, best first; of equal ones the first. */
  List<Integer> best(int count) {
    List<Integer> classes = new ArrayList<>();
    while (classes.size() < Math.min(count, chances.length)) {
      int best = -1;
      for (int i = 0; i < chances.length; i++) {
        if (!classes.contains(i) && (best < 0 || chances[i] > chances[best])) {
          best = i;
        }
      }
      classes.add(best);
    }
    return classes;
  }

  /** How likely a class is, from 0 to 1. */
  double chance(int index) {
    return chances[index];
  }
}
