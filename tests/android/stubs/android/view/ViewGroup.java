package android.view;

/** Stands in for Android's where there is none, for the compiler alone. */
public abstract class ViewGroup extends View {
  public void addView(View child) {
    throw new UnsupportedOperationException();
  }

  public void removeAllViews() {
    throw new UnsupportedOperationException();
  }
}
