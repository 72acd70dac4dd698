package android.content;

import android.net.Uri;
import android.os.Bundle;

/** Stands in for Android's where there is none, for the compiler alone. */
public class Intent {
  public static final String ACTION_GET_CONTENT = "android.intent.action.GET_CONTENT";
  public static final String CATEGORY_OPENABLE = "android.intent.category.OPENABLE";

  public Intent(String action) {
    throw new UnsupportedOperationException();
  }

  public Intent setType(String type) {
    throw new UnsupportedOperationException();
  }

  public Intent addCategory(String category) {
    throw new UnsupportedOperationException();
  }

  public Bundle getExtras() {
    throw new UnsupportedOperationException();
  }

  public Uri getData() {
    throw new UnsupportedOperationException();
  }
}
