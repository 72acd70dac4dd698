package android.content;

/** Stands in for Android's where there is none, for the compiler alone. */
public class ActivityNotFoundException extends RuntimeException {
  private static final long serialVersionUID = 1;
}
