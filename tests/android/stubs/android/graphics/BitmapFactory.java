package android.graphics;

import java.io.InputStream;

/** Stands in for Android's where there is none, for the compiler alone. */
public class BitmapFactory {
  public static Bitmap decodeStream(InputStream is, Rect outPadding, Options opts) {
    throw new UnsupportedOperationException();
  }

  public static class Options {
    public boolean inJustDecodeBounds;
    public int inSampleSize;
    public int outWidth;
    public int outHeight;
    public Bitmap.Config inPreferredConfig;
  }
}
