package android.graphics;

/** Stands in for Android's where there is none, for the compiler alone. */
public final class Rect {
}
