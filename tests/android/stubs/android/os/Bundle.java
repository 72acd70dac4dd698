package android.os;

/** Stands in for Android's where there is none, for the compiler alone. */
public final class Bundle extends BaseBundle {
}
