package android.content;

import android.content.res.AssetManager;

/** Stands in for Android's where there is none, for the compiler alone. */
public class ContextWrapper extends Context {
  @Override
  public AssetManager getAssets() {
    throw new UnsupportedOperationException();
  }

  @Override
  public ContentResolver getContentResolver() {
    throw new UnsupportedOperationException();
  }

  @Override
  public Context getApplicationContext() {
    throw new UnsupportedOperationException();
  }
}
