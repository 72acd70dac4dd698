package org.literuntime;

/** The model file is missing or cannot be read. */
public final class ModelFileException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  ModelFileException(String message) {
    super(message);
  }
}
