package org.literuntime;

/** Base of all failures of the runtime; each kind has a class of its own. */
public class LiteRuntimeException extends RuntimeException {
  private static final long serialVersionUID = 1;

  LiteRuntimeException(String message) {
    super(message);
  }
}
