package org.literuntime;

/** The bytes are not a valid .ms model. */
public final class ModelFormatException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  ModelFormatException(String message) {
    super(message);
  }
}
