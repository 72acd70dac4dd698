package org.literuntime;

/** Memory ran out, or a model asks for an absurd amount. */
public final class MemoryException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  MemoryException(String message) {
    super(message);
  }
}
