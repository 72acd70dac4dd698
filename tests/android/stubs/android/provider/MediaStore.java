package android.provider;

/** Stands in for Android's where there is none, for the compiler alone. */
public final class MediaStore {
  public static final String ACTION_IMAGE_CAPTURE = "android.media.action.IMAGE_CAPTURE";
}
