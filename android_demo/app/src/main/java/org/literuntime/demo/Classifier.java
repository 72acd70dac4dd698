package org.literuntime.demo;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.literuntime.LiteRuntime;
import org.literuntime.TensorInfo;

/** Says what a picture shows. */
final class Classifier implements AutoCloseable {
  private static final int SHOWN = 5;
  private static final double NANOSECONDS = 1e6;

  private final LiteRuntime runtime;
  private final Settings settings;
  private final Pixels pixels;

  /** @param runtime a model with a picture as its one input and scores as its first output; closed with this object */
  Classifier(LiteRuntime runtime, Settings settings) {
    this.runtime = runtime;
    this.settings = settings;
    List<TensorInfo> inputs = runtime.inputs();
    if (inputs.size() != 1) {
      throw new IllegalArgumentException("the model has " + inputs.size() + " inputs, and one picture is to be shown");
    }
    pixels = new Pixels(inputs.get(0), settings.mean, settings.std);
  }

  /** The shorter side that a picture needs so that nothing is lost. */
  int size() {
    return pixels.size();
  }

  Answer classify(Picture picture) {
    long start = System.nanoTime();
    ByteBuffer input = pixels.of(picture);
    long prepared = System.nanoTime();
    runtime.setInput(0, input);
    runtime.run();
    long computed = System.nanoTime();
    TensorInfo output = runtime.outputs().get(0);
    byte[] value = new byte[(int) output.bytes()];
    runtime.getOutput(0, value);
    Scores scores = Scores.of(output, value);
    List<Answer.Guess> guesses = new ArrayList<>();
    for (int index : scores.best(SHOWN)) {
      guesses.add(new Answer.Guess(settings.label(index), scores.chance(index)));
    }
    return new Answer(guesses, (prepared - start) / NANOSECONDS, (computed - prepared) / NANOSECONDS);
  }

  @Override
  public void close() {
    runtime.close();
  }
}
