package android.view;

import android.content.ContextWrapper;

/** Stands in for Android's where there is none, for the compiler alone. */
public class ContextThemeWrapper extends ContextWrapper {}
