package android.os;

/** Stands in for Android's where there is none, for the compiler alone. */
public class Handler {
  public Handler(Looper looper) {
    throw new UnsupportedOperationException();
  }

  public final boolean post(Runnable r) {
    throw new UnsupportedOperationException();
  }
}
