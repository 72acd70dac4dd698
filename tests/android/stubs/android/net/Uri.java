package android.net;

/** Stands in for Android's where there is none, for the compiler alone. */
public abstract class Uri {
  @Override
  public abstract String toString();
}
