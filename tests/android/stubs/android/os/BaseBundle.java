package android.os;

/** Stands in for Android's where there is none, for the compiler alone. */
public class BaseBundle {
  public Object get(String key) {
    throw new UnsupportedOperationException();
  }
}
