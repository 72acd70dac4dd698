package org.literuntime;

/** A valid model that needs an operator, attribute or type the runtime does not offer. */
public final class UnsupportedModelException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  UnsupportedModelException(String message) {
    super(message);
  }
}
