package org.literuntime;

/** Shapes, types or sizes do not fit the model or each other. */
public final class ShapeException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  ShapeException(String message) {
    super(message);
  }
}
