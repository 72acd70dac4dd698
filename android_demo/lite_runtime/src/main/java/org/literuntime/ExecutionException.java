package org.literuntime;

/** A value met while running is invalid, for example an index out of range. */
public final class ExecutionException extends LiteRuntimeException {
  private static final long serialVersionUID = 1;

  ExecutionException(String message) {
    super(message);
  }
}
