package android.widget;

import android.view.View;

/** Stands in for Android's where there is none, for the compiler alone. */
public class TextView extends View {
  public final void setText(CharSequence text) {
    throw new UnsupportedOperationException();
  }
}
