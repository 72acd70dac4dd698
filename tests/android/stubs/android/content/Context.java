package android.content;

import android.content.res.AssetManager;

/** Stands in for Android's where there is none, for the compiler alone. */
public abstract class Context {
  public abstract AssetManager getAssets();

  public abstract ContentResolver getContentResolver();

  public abstract Context getApplicationContext();

  public final String getString(int resId) {
    throw new UnsupportedOperationException();
  }

  public final String getString(int resId, Object... formatArgs) {
    throw new UnsupportedOperationException();
  }
}
