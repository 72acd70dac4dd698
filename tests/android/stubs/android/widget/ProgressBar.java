package android.widget;

import android.view.View;

/** Stands in for Android's where there is none, for the compiler alone. */
public class ProgressBar extends View {
  public void setProgress(int progress) {
    throw new UnsupportedOperationException();
  }
}
