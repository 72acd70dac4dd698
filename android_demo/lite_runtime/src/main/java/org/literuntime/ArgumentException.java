package org.literuntime;

/** A wrong argument, for example an input that the model does not have. */
public final class ArgumentException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  ArgumentException(String message) {
    super(message);
  }
}
