package org.literuntime;

import java.nio.charset.StandardCharsets;

/** Turns what the engine reports into exceptions. */
final class Failures {
  private Failures() {}

  /**
   * The exception for an lr_status of the C interface; native code calls this and throws the result.
   *
   * @param status one of the numbers in lite_runtime.h
   * @param message UTF-8, in which names from hostile files may have left anything
   */
  static LiteRuntimeException of(int status, byte[] message) {
    String text = new String(message, StandardCharsets.UTF_8);
    switch (status) {
      case 1:
        return new ModelFileException(text);
      case 2:
        return new ModelFormatException(text);
      case 3:
        return new UnsupportedModelException(text);
      case 4:
        return new ShapeException(text);
      case 5:
        return new ArgumentException(text);
      case 6:
        return new MemoryException(text);
      case 7:
        return new ExecutionException(text);
      default:
        return new LiteRuntimeException(text);
    }
  }
}
