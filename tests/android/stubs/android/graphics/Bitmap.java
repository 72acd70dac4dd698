package android.graphics;

/** Stands in for Android's where there is none, for the compiler alone. */
public final class Bitmap {
  public int getWidth() {
    throw new UnsupportedOperationException();
  }

  public int getHeight() {
    throw new UnsupportedOperationException();
  }

  public void getPixels(int[] pixels, int offset, int stride, int x, int y, int width, int height) {
    throw new UnsupportedOperationException();
  }

  public enum Config {
    ARGB_8888
  }
}
